#!/usr/bin/env python3
"""Compares the caption cleaning with the same rules run on Python's re, BeautifulSoup and ftfy.

usage: compare_with_python.py PYRACAST [COUNT] [SEED]      (needs: pip install beautifulsoup4 ftfy)

Random captions made of the pieces that the rules look at go through `pyracast clean` and through the rules below; every
caption that differs is printed, then how many agree.
"""
import html
import json
import random
import re
import subprocess
import sys
import urllib.parse
import warnings

import ftfy
from bs4 import BeautifulSoup

warnings.simplefilter("ignore")
DOMAIN = r"[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)"
ADDRESSES = [("<person>", "person"), (r"\b(?:https?:(?:/{1,3}|[a-zA-Z0-9%])|" + DOMAIN + ")", ""),
             (r"\b(?:www:(?:/{1,3}|[a-zA-Z0-9%])|" + DOMAIN + ")", "")]
CHARACTERS = [(r"@[\w\d]+\b", ""), *[(f"[{a}-{b}]+", "") for a, b in
              ["\u31c0\u31ef", "\u31f0\u31ff", "\u3200\u32ff", "\u3300\u33ff", "\u3400\u4dbf", "\u4dc0\u4dff", "\u4e00\u9fff"]],
              ("[\u002D\u058A\u05BE\u1400\u1806\u2010-\u2015\u2E17\u2E1A\u2E3A\u2E3B\u2E40\u301C\u3030\u30A0\uFE31\uFE32\uFE58\uFE63\uFF0D]+", "-"),
              ("[`´«»“”¨]", '"'), ("[‘’]", "'"), ("&quot;?", ""), ("&amp", ""), (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),
              (r"\d:\d\d\s+$", ""), (r"\\n", " "), (r"#\d{1,3}\b", ""), (r"#\d{5,}\b", ""), (r"\b\d{6,}\b", ""),
              (r"\S+\.(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)", ""), ("[\"']{2,}", '"'), (r"\.{2,}", " "),
              (r"[#®•©™&@·º½¾¿¡§~)(\]\[}{|\\/*]+", " "), (r"\s+\.\s+", " ")]
WORDS = [(r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""), (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""), (r"\b\d+[a-zA-Z]+\d+\b", ""),
         (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""), (r"(?:free\s)?download(?:\sfree)?", ""), (r"\bclick\b\s(?:for|on)\s\w+", ""),
         (r"\b(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)(?:\simage[s]?)?", ""), (r"\bpage\s+\d+\b", ""),
         (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "), (r"\b\d+\.?\d*[xх×]\d+\.?\d*\b", ""), (r"\b\s+:\s+", ": "),
         (r"(\D[,./])\b", r"\1 "), (r"\s+", " "), (r"^[\"']([\w\W]+)[\"']$", r"\1"), (r"^['_,\-:;]", ""), (r"['_,\-:+]$", ""),
         (r"^\.\S+$", "")]
PIECES = ["a cat", "Dog", "&amp;", "&quot;", "&lt;b&gt;", "<b>bold</b>", "<br/>", "<p class='x>y'>p</p>", "<script>x<y</script>", "< 5",
          "&#39;", "&#x41;", "&#150;", "&copy", "&nbsp;", "&bogus;", "&#zz;", "&", "<", "</i>", "<!-- c -->", "<!doctype html>", "<?pi?>", "<tag>",
          "http://foo.bar", "https://www.example.com/a/b?x=1", "site.org/path", "www:/x", "@nick_1", "汉字", "ひらがな", "カ", "㈱", "—", "–", "〜",
          "«q»", "“d”", "‘s’", "´", "10.0.0.1", "1:23 ", "\\n", "#123", "#4567", "#123456", "1234567", "photo_1.jpg", "x.PNG", "\"\"", "'''",
          "...", "..", ".", "*", "(p)", "[b]", "{c}", "|", "/", "\\", "~", "§", "½", "#", "a-b-c-d-e", "a_b_c", "jc6640", "jc6640vc", "6640vc231",
          "free shipping", "worldwide", "download free", "click for more", "png image", "page 12", "j2d1a2a", "10x20", "3.5×4", "5х6", " : ",
          "a,b", "end.", "it's", "\"", "'", "_", "-", ":", ";", ",", "+", "%20", "%C3%A9", "%ff", "100%", "ＦＵＬＬ", "ﬁ", "É", "İ", "ß", "\u200b",
          "\xa0", "\u3000", "\t", "\n", "\x1b[31m", "\x07", "cafÃ©", "â€œquotesâ€\x9d", "schÃ¶n", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет", "naïve", "€5", "x²", "😀", "한국어", "ª", "¶"]


def substituted(rules, text):
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def basic(text):
    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


def once(text):
    text = substituted(ADDRESSES, urllib.parse.unquote_plus(text).strip().lower())
    text = substituted(CHARACTERS, BeautifulSoup(text, features="html.parser").text)
    if len(re.findall(r"[-_]", text)) > 3:
        text = re.sub(r"[-_]", " ", text)
    return substituted(WORDS, basic(text)).strip()


def main():
    program, count, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20000, int(sys.argv[3]) if len(sys.argv) > 3 else 1
    rng = random.Random(seed)
    texts = ["".join(rng.choice(PIECES) + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, 8))) for _ in range(count)]
    answer = subprocess.run([program, "clean"], input="\n".join(json.dumps(t) for t in texts), capture_output=True, text=True, check=True)
    different = 0
    for text, line in zip(texts, answer.stdout.splitlines(), strict=True):
        ours = json.loads(line)
        for kind, expected in (("once", once(text)), ("cleaned", once(once(text))), ("basic", basic(text))):
            if ours[kind] != expected:
                different += 1
                print(f"{kind}: {text!r}\n   is       {ours[kind]!r}\n   expected {expected!r}")
                break
    print(f"{count - different} of {count} captions agree")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
