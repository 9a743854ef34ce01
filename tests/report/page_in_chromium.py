#!/usr/bin/env python3
"""Opens the pages of compare, report and gallery in headless Chromium: every clip and picture decodes, nothing is asked of the
network, the console stays quiet, and the tables have their numbers.
usage: page_in_chromium.py PYRACAST SNAPSHOT BROADCAST [FOLDER FOR SCREENSHOTS]
Ends with 77 (skipped) where there is no Chromium."""
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

program, snapshot, broadcast, *pictures = sys.argv[1:]
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
  const clips = [...document.querySelectorAll('video')], pictures = [...document.querySelectorAll('img')];
  const ready = clips.filter(clip => clip.readyState >= 2 && clip.videoWidth > 0 && !clip.error).length;
  if (ready < clips.length && performance.now() - started < 10000) return;
  clearInterval(look);
  const count = selector => document.querySelectorAll(selector).length;
  const cells = selector => [...document.querySelectorAll(selector)].map(cell => cell.textContent);
  const seen = { clips: clips.length, ready, pictures: pictures.length, drawn: pictures.filter(p => p.complete && p.naturalWidth > 0).length,
    requests: performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('data:')),
    samples: cells('#samples td.number'), ways: cells('#ways td.number'), audit: cells('#audit td.number'), flags: cells('#flags td.number'), cards: cells('.card b'),
    charts: count('.charts svg'), computed: count('.map .computed'), reused: count('.map .reused'),
    wide: document.documentElement.scrollWidth > innerWidth };
  console.log('SEEN ' + JSON.stringify(seen));
}, 100);
</script></body>"""


class References(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "srcset", "poster", "data") and not (value or "").startswith(("data:", "#")):
                self.found.append((tag, name, value[:80]))


def fail(why):
    print("FAILED:", why)
    sys.exit(1)


def expect(what, seen, expected):
    if seen != expected:
        fail(f"{what}: {seen}, expected {expected}")


def opened(page, name):
    """What the page says of itself in the browser."""
    text = page.read_text()
    references = References()
    references.feed(text)
    expect(f"{name} refers to", references.found, [])
    witness = page.with_name("witness.html")
    witness.write_text(text.replace("</body>", WITNESS))
    shot = pathlib.Path(pictures[0] if pictures else page.parent) / f"{name}.png"
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
               "--log-level=0", "--window-size=1200,4000", f"--user-data-dir={folder}/profile", "--autoplay-policy=no-user-gesture-required"]
    log = subprocess.run([*command, "--timeout=15000", f"--screenshot={shot}", f"file://{witness}"], capture_output=True,
                         text=True, timeout=120).stderr
    console = [line for line in log.splitlines() if ":CONSOLE" in line]
    said = [line for line in console if "SEEN " in line]
    if not said:
        fail(f"{name} did not come to its end:\n" + log[-3000:])
    seen = json.loads(re.search(r'SEEN (\{.*\})"', said[0]).group(1).replace('\\"', '"'))
    print(name, seen)
    expect(f"the console says of {name}", [line for line in console if "SEEN " not in line], [])
    expect(f"{name} asks for something from outside", seen["requests"], [])
    expect(f"{name} is wider than its window", seen["wide"], False)
    expect(f"clips of {name} that decode", seen["ready"], seen["clips"])
    expect(f"pictures of {name} that are drawn", seen["drawn"], seen["pictures"])
    return seen


def check_comparison():
    run("compare", folder / "first", folder / "second", "--output", folder / "page")
    figures = json.loads((folder / "page/compare.json").read_text())
    seen = opened(folder / "page/compare.html", "compare")
    expect("clips", seen["clips"], 8)   # two samples: two clips each, and twice for the difference
    expect("charts", seen["charts"], 3)
    worst = min(figures["samples"], key=lambda sample: sample["psnr"])
    expect("the table begins with the least alike sample", seen["samples"][:2], [f"{worst['psnr']:.2f}", f"{worst['ssim']:.4f}"])


def check_gallery():
    run("gallery", "--config", pathlib.Path(snapshot).parents[1] / "demo.cfg", "--samples", 2, "--output", folder / "gallery")
    figures = json.loads((folder / "gallery/gallery.json").read_text())
    expect("ways", [way["name"] for way in figures["ways"]], ["without reuse", "PAB", "tuned schedule"])
    seen = opened(folder / "gallery/index.html", "gallery")
    expect("clips", seen["clips"], 2 * 3)
    expect("charts", seen["charts"], 2)   # seconds and U-curves: one rank sends nothing
    expect("cells of the maps", seen["reused"], 2 * 6 * 30)
    if seen["computed"] >= 2 * 6 * 30:
        fail("nothing is shown as reused")
    expect("likeness in the table", seen["ways"][4::6], ["–"] + [f"{way['mean_psnr']:.2f}" for way in figures["ways"][1:]])


def check_audit():
    run("report", "--output", folder / "audited")
    rows = [json.loads(line) for line in (folder / "audited/metadata.jsonl").read_text().splitlines()]
    seen = opened(folder / "audited/report.html", "report of audited")
    expect("charts", seen["charts"], 3)
    expect("the table begins with the least alike sample", seen["audit"][0], f"{min(row['audit_psnr'] for row in rows):.2f}")


def check_report(name, reuses):
    run("report", "--output", folder / name)
    rows = [json.loads(line) for line in (folder / name / "metadata.jsonl").read_text().splitlines()]
    seen = opened(folder / name / "report.html", f"report of {name}")
    expect("videos, failed", seen["cards"][:2], ["2", "0"])
    flagged = [row for row in rows if row["quality_flags"]]
    expect("pictures", seen["pictures"], 2 + len(flagged))
    expect("flags", seen["flags"][::2], [str(sum(flag in row["quality_flags"].split(",") for row in rows)) for flag in ("black", "frozen", "saturated")])
    expect("charts", seen["charts"], 2)   # throughput and steps: one rank sends nothing
    expect("cells of the map", seen["reused"], 6 * 12)
    if (seen["computed"] < 6 * 12) != reuses:
        fail(f"{seen['computed']} of {6 * 12} cells of the map are computed")
    card = (folder / name / "README.md").read_text()
    if not card.startswith("---\nlicense: unknown\n") or "| videos | 2 of 2 asked for, 0 failed |" not in card:
        fail(f"the card says {card}")


def run(*command):
    subprocess.run([program, *map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "prompts.jsonl").write_text('{"id": "a<b>&", "prompt": "a <red> circle & \\"more\\""}\n{"prompt": "a blue square"}\n')
    for output, more in [("first", []), ("second", ["--broadcast", broadcast]), ("audited", ["--broadcast", broadcast, "--audit", "100%", "--audit-bound", "99"])]:
        run("generate", "--snapshot", snapshot, "--prompts", folder / "prompts.jsonl", "--output", folder / output, "--steps", "12",
            "--save", "frames,step-latents", *more)
    check_comparison()
    check_report("first", reuses=False)
    check_report("second", reuses=True)
    check_audit()
    check_gallery()
