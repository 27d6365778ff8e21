#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs resattn attend: its numbers, its sheets, and what it says about bad input. Arguments as for tool.py."""
import json
import math
import os
import resource
import shutil
import struct
import subprocess
import sys
import unittest
import zlib

sys.dont_write_bytecode = True
import tool


def read_png(name):
    """Of a PNG file with 8-bit RGB, not interlaced: width, height, and the pixels as rows of bytes."""
    data = (tool.folder / name).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR"
    width, height, *form = struct.unpack(">IIBBBBB", data[16:29])
    assert form == [8, 2, 0, 0, 0]
    packed, at = b"", 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    raw, rows, above = zlib.decompress(packed), [], bytes(3 * width)
    for y in range(height):
        line = raw[y * (3 * width + 1):(y + 1) * (3 * width + 1)]
        above = unfilter(line[0], line[1:], above)
        rows.append(above)
    return width, height, rows


def unfilter(kind, line, above):
    """PNG's filters: none, left, above, their mean, Paeth's."""
    row = bytearray(line)
    for i, byte in enumerate(line):
        a, b, c = (row[i - 3] if i >= 3 else 0), above[i], (above[i - 3] if i >= 3 else 0)
        paeth = min([a, b, c], key=lambda value: abs(a + b - c - value))
        row[i] = (byte + [0, a, b, (a + b) // 2, paeth][kind]) % 256
    return bytes(row)


VIRIDIS = bytes.fromhex("440154 482878 3e4a89 31688e 26828e 1f9e89 35b779 6dcd59 b4de2c fde725")


def viridis(share):
    at = min(max(share, 0), 1) * 9
    i = min(int(at), 8)
    return [VIRIDIS[3 * i + c] + (VIRIDIS[3 * i + 3 + c] - VIRIDIS[3 * i + c]) * (at - i) for c in range(3)]


class Attend(unittest.TestCase):
    """attend, on a network with random weights: its masks are what the library's functions give."""
    names = [f"Attention{stage}_1.mask" for stage in "ABC"]

    @classmethod
    def setUpClass(cls):
        if not tool.options.pictures or not tool.options.cairo:
            raise unittest.SkipTest("no pictures or no cairo")
        tool.run("convert", "attention-56-cifar", "attend.resattn", "--mean", "0.5,0.5,0.5", "--deviation",
                 "0.3,0.3,0.3")
        for i in range(2):
            tool.write(f"a{i}.png", tool.png(32, 32, 2, tool.spots(i)))

    def attend(self, *arguments, code=0):
        out, _ = tool.run("attend", "attend.resattn", *arguments, "--json", code=code)
        return [json.loads(line) for line in out.splitlines()]

    def masks_by_library(self, seed):
        """For each module the values of each channel, in the order of the rows."""
        pixels = b"".join(bytes(tool.spots(seed)(x, y)) for y in range(32) for x in range(32))
        lines = subprocess.run([tool.options.cairo, tool.folder / "attend.resattn", "32"], input=pixels,
                               stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
        masks = []
        for head, values in zip(lines[::2], lines[1::2]):
            channels, size = int(head.split()[1]), int(head.split()[2]) * int(head.split()[3])
            values = [float(value) for value in values.split()]
            self.assertEqual([head.split()[0], len(values)], [self.names[len(masks)], channels * size])
            masks.append([values[c * size:(c + 1) * size] for c in range(channels)])
        return masks

    def check_numbers(self, numbers, values):
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((value - mean)**2 for value in values) / len(values))
        expected = {"mean": mean, "deviation": deviation, "min": min(values), "max": max(values)}
        for key, value in expected.items():
            self.assertAlmostEqual(numbers[key], value, delta=1e-5, msg=key)

    def test_numbers(self):
        for seed in range(2):
            answer = self.attend(f"a{seed}.png")[0]
            self.assertEqual([answer["file"], answer["sheet"]], [f"a{seed}.png", f"a{seed}-masks.png"])
            top = tool.classify("attend.resattn", f"a{seed}.png")[0]["classes"][0]
            self.assertEqual([answer["class"], answer["probability"]], [top["class"], top["probability"]])
            self.assertEqual([mask["name"] for mask in answer["masks"]], self.names)
            for mask, channels in zip(answer["masks"], self.masks_by_library(seed)):
                self.assertEqual([mask["channels"], mask["height"] * mask["width"]], [len(channels), len(channels[0])])
                self.check_numbers(mask, sum(channels, []))
                self.assertEqual([shown["channel"] for shown in mask["maps"]], [None])
                self.check_numbers(mask["maps"][0], [math.fsum(of) / len(of) for of in zip(*channels)])

    def test_channels(self):
        masks = self.masks_by_library(0)
        for mask, channels in zip(self.attend("a0.png", "--channel", 5)[0]["masks"], masks):
            self.assertEqual([shown["channel"] for shown in mask["maps"]], [5])
            self.check_numbers(mask["maps"][0], channels[5])
        for mask, channels in zip(self.attend("a0.png", "--top", 3)[0]["masks"], masks):
            deviations = [shown["deviation"] for shown in mask["maps"]]
            self.assertEqual(deviations, sorted(deviations, reverse=True))
            shown = [entry["channel"] for entry in mask["maps"]]
            self.assertEqual(len(set(shown)), 3)
            for entry in mask["maps"]:
                self.check_numbers(entry, channels[entry["channel"]])
            means = [math.fsum(of) / len(of) for of in channels]
            others = [math.fsum((value - mean)**2 for value in of) / len(of)
                      for c, (of, mean) in enumerate(zip(channels, means)) if c not in shown]
            self.assertLess(max(others), deviations[-1]**2 + 1e-5)
        (tool.folder / "a0-masks.png").unlink()
        _, err = tool.run("attend", "attend.resattn", "a0.png", "--channel", 64, code=1)
        self.assertIn("AttentionA_1.mask has no channel 64, expected 0 to 63", err)
        self.assertFalse((tool.folder / "a0-masks.png").exists())

    def test_sheet(self):
        """The corners of the heat maps have the colours of the corners of the masks; --top adds rows."""
        side, gap, left = 128, 20, 28
        masks = self.masks_by_library(0)
        for choice, low, high in [("auto", None, None), ("0.2,0.7", 0.2, 0.7)]:
            answer = self.attend("a0.png", "--out", "s.png", "--side", side, "--alpha", 1, "--range", choice, "--top",
                                 1)
            width, height, rows = read_png("s.png")
            self.assertEqual([width, height], [2 * left + 4 * side + 3 * gap, 346])
            top = 28 + 58 + 40
            for i, channels in enumerate(masks):
                values = channels[answer[0]["masks"][i]["maps"][0]["channel"]]
                x = left + (i + 1) * (side + gap)
                first = min(values) if low is None else low
                last = max(values) if high is None else high
                across = math.isqrt(len(values))
                for at, place in [(0, (x, top)), (across - 1, (x + side - 1, top)), (-across, (x, top + side - 1)),
                                  (-1, (x + side - 1, top + side - 1))]:
                    pixel = rows[place[1]][3 * place[0]:3 * place[0] + 3]
                    for got, expected in zip(pixel, viridis((values[at] - first) / (last - first))):
                        self.assertAlmostEqual(got, expected, delta=1.5)
                bar = rows[top + side + 12]
                for got, expected in zip(bar[3 * x:3 * x + 3] + bar[3 * (x + side) - 3:3 * (x + side)],
                                         VIRIDIS[:3] + VIRIDIS[-3:]):
                    self.assertAlmostEqual(got, expected, delta=8)
        self.attend("a0.png", "--out", "s3.png", "--side", side, "--top", 3)
        self.assertEqual(read_png("s3.png")[:2], (width, height + 2 * (40 + side + 40)))

    def test_many_modules(self):
        """Six of the nine modules in the first row, three in the second."""
        tool.run("attend", "attention-128-cifar", "a0.png", "--out", "nine.png", "--side", 128)
        self.assertEqual(read_png("nine.png")[:2], (56 + 7 * 128 + 6 * 20, 346 + 208))

    def test_files(self):
        out, _ = tool.run("attend", "attend.resattn", "a0.png", "a1.png", "--out", "sheets/")
        self.assertRegex(out, r"^a0\.png: class \d, \d+\.\d\d %: sheets/a0-masks\.png\n"
                              r"a1\.png: class \d, \d+\.\d\d %: sheets/a1-masks\.png\n$")
        one, two = ((tool.folder / "sheets" / f"a{i}-masks.png").read_bytes() for i in range(2))
        self.assertNotEqual(one, two)
        self.attend("a0.png", "--out", "again.png")
        self.assertEqual((tool.folder / "again.png").read_bytes(), one)
        names = ["<b>", "Größe"] + [f"class {i}" for i in range(2, 10)]
        tool.write("attend names.txt", "\n".join(names).encode())
        tool.run("convert", "attend.resattn", "named attend.resattn", "--class-names", "attend names.txt")
        latin = os.fsencode(str(tool.folder)) + b"/odd\xfc\n.png"
        shutil.copy(tool.folder / "a0.png", latin)
        subprocess.run([tool.tool, "attend", tool.folder / "named attend.resattn", latin, "--out",
                        tool.folder / "odd.png"], stdout=subprocess.DEVNULL, check=True)
        self.assertEqual(read_png("odd.png")[:2], read_png("again.png")[:2])

    def test_bad(self):
        tool.write("cut a.png", (tool.folder / "a0.png").read_bytes()[:200])
        files = ["absent.png", "a0.png", "cut a.png", "a1.png"]
        out, err = tool.run("attend", "attend.resattn", *files, "--json", code=1)
        self.assertEqual([json.loads(line)["file"] for line in out.splitlines()], ["a0.png", "a1.png"])
        self.assertRegex(err, r"^resattn: absent\.png: .*\nresattn: cut a\.png: .*\n$")
        whole = (tool.folder / "a0.png").read_bytes()
        for arguments, message in [(("a0.png", "--out", "a0.png"), "a0.png is the picture itself"),
                                   (("a0.png", "./a0.png"), "the sheet of two pictures"),
                                   (("a0.png", "a1.png", "--out", "a0.png"), "a0.png: no folder"),
                                   (("a0.png", "--out", "no/such/x.png"), "no/such/x.png: "),
                                   (("a0.png", "--out", ""), "--out is empty"),
                                   (("a0.png", "--top", "60", "--side", "2048"), "expected a height")]:
            with self.subTest(arguments=arguments):
                out, err = tool.run("attend", "attend.resattn", *arguments, code=1)
                self.assertEqual(out, "")
                self.assertIn(message, err)
        self.assertEqual((tool.folder / "a0.png").read_bytes(), whole)
        _, err = tool.run("attend", tool.SMALL, "a0.png", code=1)
        self.assertIn(f"{tool.SMALL} has no attention modules", err)

    def test_no_room(self):
        """A file that may not grow stands for a full disk."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        # Python ignores the signal that would end the tool, and here so does the tool.
        result = subprocess.run([tool.tool, "attend", "attend.resattn", "a0.png", "--out", "part.png"], cwd=tool.folder,
                                preexec_fn=limit, restore_signals=False, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"part.png: error while writing to output stream: File too large", result.stderr)
        self.assertFalse((tool.folder / "part.png").exists())


class WithoutCairo(unittest.TestCase):
    def test_says_so(self):
        if tool.options.cairo:
            self.skipTest("cairo is there")
        self.assertIn("built without cairo", tool.run("attend", tool.SMALL, "x.png", code=1)[1])


if __name__ == "__main__":
    tool.main("__main__")
