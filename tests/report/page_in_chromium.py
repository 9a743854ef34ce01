#!/usr/bin/env python3
"""Opens a comparison page in headless Chromium: every clip decodes, nothing is asked of the network, the console stays
quiet, and the table has its numbers. usage: page_in_chromium.py PYRACAST SNAPSHOT BROADCAST [SCREENSHOT]
Ends with 77 (skipped) where there is no Chromium."""
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

program, snapshot, broadcast, *picture = sys.argv[1:]
browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
if not browser:
    print("skipped: chromium is not installed (package chromium)")
    sys.exit(77)
if not shutil.which("gnuplot"):
    print("skipped: gnuplot is not installed (package gnuplot-nox)")
    sys.exit(77)

# Written into the page: when all clips have a frame, or after ten seconds, it says what it sees.
WITNESS = """<script>
const started = performance.now();
const look = setInterval(() => {
  const clips = [...document.querySelectorAll('video')];
  const ready = clips.filter(clip => clip.readyState >= 2 && clip.videoWidth > 0 && !clip.error).length;
  if (ready < clips.length && performance.now() - started < 10000) return;
  clearInterval(look);
  const seen = { clips: clips.length, ready,
    requests: performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('data:')),
    cells: [...document.querySelectorAll('#samples td.number')].map(cell => cell.textContent),
    charts: document.querySelectorAll('.charts svg').length, wide: document.documentElement.scrollWidth > innerWidth };
  console.log('SEEN ' + JSON.stringify(seen));
}, 100);
</script></body>"""


class References(html.parser.HTMLParser):
    found = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "srcset", "poster", "data") and not (value or "").startswith(("data:", "#")):
                self.found.append((tag, name, value[:80]))


def fail(why):
    print("FAILED:", why)
    sys.exit(1)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "prompts.jsonl").write_text('{"id": "a<b>&", "prompt": "a <red> circle & \\"more\\""}\n{"prompt": "a blue square"}\n')
    for run, more in [("first", []), ("second", ["--broadcast", broadcast])]:
        subprocess.run([program, "generate", "--snapshot", snapshot, "--prompts", folder / "prompts.jsonl", "--output", folder / run,
                        "--steps", "12", "--save", "frames,step-latents", *more], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([program, "compare", folder / "first", folder / "second", "--output", folder / "page"], check=True,
                   stdout=subprocess.DEVNULL)
    page = (folder / "page/compare.html").read_text()
    figures = json.loads((folder / "page/compare.json").read_text())
    References().feed(page)
    if References.found:
        fail(f"the page refers to {References.found}")
    (folder / "witness.html").write_text(page.replace("</body>", WITNESS))
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
               "--log-level=0", "--window-size=1200,1800", f"--user-data-dir={folder}/profile",
               "--autoplay-policy=no-user-gesture-required"]
    shot = picture[0] if picture else str(folder / "shot.png")
    log = subprocess.run([*command, "--timeout=15000", f"--screenshot={shot}", f"file://{folder}/witness.html"], capture_output=True,
                         text=True, timeout=120).stderr
    console = [line for line in log.splitlines() if ":CONSOLE" in line]
    said = [line for line in console if "SEEN " in line]
    if not said:
        fail("the page did not come to its end:\n" + log[-3000:])
    seen = json.loads(re.search(r'SEEN (\{.*\})"', said[0]).group(1).replace('\\"', '"'))
    print(seen)
    noise = [line for line in console if "SEEN " not in line]
    if noise:
        fail(f"the console says {noise}")
    if seen["clips"] != 8 or seen["ready"] != 8:   # two samples: two clips each, and twice for the difference
        fail("not every clip decodes")
    if seen["requests"]:
        fail("something was asked for from outside")
    if seen["charts"] != 3 or seen["wide"]:
        fail("three charts are expected, and a page no wider than its window")
    worst = min(figures["samples"], key=lambda sample: sample["psnr"])
    if seen["cells"][0] != f"{worst['psnr']:.2f}" or seen["cells"][1] != f"{worst['ssim']:.4f}":
        fail(f"the table begins with {seen['cells'][:2]}, expected the least alike sample {worst['psnr']}, {worst['ssim']}")
