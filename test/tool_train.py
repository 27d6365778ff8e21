#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs resattn train: what can be chosen, and what it says about bad input. Arguments as for tool.py."""
import csv
import resource
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import tool

# 10 epochs of 10 steps each, on files that setUpModule() writes
SHORT = ["--model", "quickstart", "--data", "images", "--batch", "4", "--epochs", "10",
         "--validation", "0.2", "--rate", "0.05", "--threads", "1"]


def train(*arguments, code=0, **options):
    """Runs it in the test's folder; `size` limits its files. Returns what it printed, as (stdout, stderr)."""
    size = options.get("size")
    limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))) if size else None
    result = subprocess.run([tool.tool, "train", *map(str, arguments)], cwd=tool.folder, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, preexec_fn=limit)
    out, err = result.stdout.decode(), result.stderr.decode()
    if result.returncode != code:
        raise AssertionError(f"{arguments}: exit code {result.returncode}, expected {code}\n{out}\n{err}")
    return out, err


def rows(name):
    """The lines of a log as dictionaries, without the time that they took."""
    text = (tool.folder / name).read_text()
    assert text.endswith("\n")
    return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(text.splitlines())]


def data_of(name):
    return (tool.folder / name).read_bytes()


def cifar(name, count, classes):
    """Files in the form of CIFAR-10, or of CIFAR-100 with its second label."""
    def record(i):
        labels = [i % 10] if classes == 10 else [i % 20, i % classes]
        return bytes(labels) + bytes((i * 37 + k * (i % 10 + 1)) % 256 for k in range(3072))
    names = "".join(f"kind{i}\n" for i in range(classes)).encode()
    tool.write(f"{name}/{'batches.meta' if classes == 10 else 'fine_label_names'}.txt", names)
    if classes == 10:
        tool.write(f"{name}/data_batch_1.bin", b"".join(map(record, range(count))))
        tool.write(f"{name}/test_batch.bin", b"".join(map(record, range(count // 2))))
    else:
        tool.write(f"{name}/train.bin", b"".join(map(record, range(count))))
        tool.write(f"{name}/test.bin", b"".join(map(record, range(count // 2))))


def setUpModule():
    cifar("images", 50, 10)


class Settings(unittest.TestCase):
    def test_file(self):
        """A file of settings does what options do, and options win."""
        (tool.folder / "all.cfg").write_text("# a comment\nmodel = quickstart\n  data=images # another\n\nlimit = 32\n"
                                             "batch = 8\nepochs = 2\noptimizer = adamw\nno-decay = stage1\n"
                                             "no-decay = stage2\nclip = 3\nthreads = 1\n")
        train("--config", "all.cfg", "--epochs", "1", "--out", "file.resattn", "--log", "file.csv")
        train("--model", "quickstart", "--data", "images", "--limit", "32", "--batch", "8", "--epochs", "1", "--optimizer",
              "adamw", "--no-decay", "stage1", "--no-decay", "stage2", "--clip", "3", "--out", "flags.resattn", "--log",
              "flags.csv")
        self.assertEqual(data_of("file.resattn"), data_of("flags.resattn"))
        self.assertEqual(rows("file.csv"), rows("flags.csv"))
        train("--config", "all.cfg", "--epochs", "1", "--no-decay", "stage3", "--out", "list.resattn")
        self.assertNotEqual(data_of("file.resattn"), data_of("list.resattn"))

    def test_bad_options(self):
        for options, message in [((), "give --model, --load or --resume"), (("--epochs", "0"), "--epochs is '0', expected 1 to"),
                                 (("--epochs", "1.5"), "--epochs is '1.5'"), (("--rate", "fast"), "--rate is 'fast'"),
                                 (("--rate", "nan"), "--rate is 'nan'"), (("--seed", "-1"), "--seed is '-1'"),
                                 (("--optimizer", "adam"), "--optimizer is 'adam', expected sgd or adamw"),
                                 (("--schedule", "x"), "expected one-cycle, cosine or step"),
                                 (("--out", ""), "--out is empty, expected FILE"),
                                 (("--model", "quickstart"), "--data is missing"),
                                 ((*SHORT, "--micro-batches", "3"), "--micro-batches is 3, expected a divisor"),
                                 ((*SHORT, "--validation", "0", "--patience", "2"), "need --validation"),
                                 ((*SHORT, "--log-steps", "2"), "--log-steps goes with --log"),
                                 ((*SHORT, "--target-folder", "x"), "--target-folder goes with --mask-targets"),
                                 (("--load", "x", "--data", "shapes", "--set", "p=1"), "--set goes with --model"),
                                 ((*SHORT, "more"), "unexpected argument 'more'")]:
            with self.subTest(options=options):
                out, err = train(*options, code=2)
                self.assertEqual(out, "")
                self.assertIn(message, err)

    def test_bad_values(self):
        model = ["--model", "attention-56-cifar", "--data", "images"]
        for options, message in [((*SHORT, "--class-weights", "1,2"), "--class-weights is '1,2', expected"),
                                 ((*SHORT, "--rate-of", "stage1"), "--rate-of is 'stage1', expected a name"),
                                 ((*SHORT, "--rate-of", "stage1=x"), "--rate-of is 'x'"),
                                 ((*SHORT, "--freeze", "no.such"), "no.such"), ((*SHORT, "--batch", "100"), "less than one batch"),
                                 ((*SHORT, "--set", "p=1"), "quickstart"), ((*model, "--set", "p"), "--set is 'p'"),
                                 ((*model, "--set", "learning=fast"), "expected residual (1), naive (2)"),
                                 ((*model, "--set", "learning=3"), "--set learning=3"),
                                 ((*model, "--set", "speed=3"), "speed"), ((*SHORT, "--data", "absent"), "absent"),
                                 ((*SHORT, "--mask-targets", "1"), "know where their objects are"),
                                 (("--model", "resnet-20-cifar", "--data", "shapes", "--mask-targets", "1"),
                                  "attention modules"),
                                 ((*SHORT, "--log", "absent/x.csv"), "absent/x.csv: cannot be written"),
                                 ((*SHORT, "--rate", "100", "--momentum", "0", "--schedule", "step"),
                                  "expected finite numbers")]:
            with self.subTest(options=options):
                out, err = train(*options, code=1)
                self.assertEqual(out, "")
                self.assertIn(message, err)

    def test_bad_files(self):
        for text, message in [("epochs 3", "bad.cfg:1: 'epochs 3', expected name = value"),
                              ("\n# x\nepoch = 3", "bad.cfg:3: unknown setting 'epoch'"),
                              ("seed = 1\nrate = 1000", "bad.cfg:2: rate is '1000', expected 0 to 100"),
                              ("seed = 1\nseed = 2", "bad.cfg:2: seed is '2', expected it only once"),
                              ("config = x", "bad.cfg:1: config is 'x', expected no other file"),
                              ("out =", "bad.cfg:1: out is empty")]:
            with self.subTest(text=text):
                (tool.folder / "bad.cfg").write_text(text)
                self.assertIn(message, train("--config", "bad.cfg", code=2)[1])
        (tool.folder / "bad.cfg").write_bytes(b"seed = 1\0")
        self.assertIn("bad.cfg: not a text", train("--config", "bad.cfg", code=2)[1])
        self.assertIn("absent.cfg: ", train("--config", "absent.cfg", code=2)[1])


class Choices(unittest.TestCase):
    def test_validation(self):
        """The best network is kept, and the training ends when its time is over."""
        cifar("ten", 60, 10)
        train("--model", "quickstart", "--data", "ten", "--batch", "10", "--epochs", "30", "--validation", "test",
              "--patience", "3", "--best", "best.resattn", "--log", "best.csv", "--rate", "0.01", "--augment", "none")
        table = rows("best.csv")
        shares = [float(row["validation_accuracy"]) for row in table]
        best = shares.index(max(shares))
        self.assertTrue(len(table) == best + 4 or len(table) == 30)
        for i in range(4, len(table)):  # not before its time
            self.assertGreater(max(shares[i - 3:i]), max(shares[:i - 3]))
        out, _ = tool.run("eval", "best.resattn", "--data", "ten")
        self.assertIn(f"{100 * max(shares):.2f} % of 30 images", out.replace("top-1 ", "").replace(", top-5", " %,", 0))

    def test_other_classes(self):
        """A network for ten classes is trained on for a hundred; a part is left as it was."""
        cifar("ten2", 40, 10)
        cifar("hundred", 200, 100)
        train("--model", "quickstart", "--data", "ten2", "--epochs", "1", "--batch", "20", "--out", "ten.resattn")
        train("--load", "ten.resattn", "--data", "hundred", "--epochs", "1", "--batch", "20", "--freeze", "stage1", "--out",
              "hundred.resattn")
        self.assertRegex(tool.run("info", "hundred.resattn")[0], r"classes +100")
        if not tool.options.weights:
            return
        tensors = {}
        for name in ["ten", "hundred"]:
            tool.run("convert", name + ".resattn", name + ".safetensors")
            header, data = tool.read_tensors(name + ".safetensors")
            header.pop("__metadata__", None)
            tensors[name] = {key: data[slice(*entry["data_offsets"])] for key, entry in header.items()}
        self.assertEqual(tensors["ten"].keys(), tensors["hundred"].keys())
        same = {key for key in tensors["ten"] if tensors["ten"][key] == tensors["hundred"][key]}
        self.assertEqual(same, {key for key in tensors["ten"] if key.startswith("stage1.")})

    def test_frozen_all_but_head(self):
        """With all but the last layer frozen, weights come from the old network even where classes differ."""
        out, err = train("--load", "absent.resattn", "--data", "images", code=1)
        self.assertIn("absent.resattn", err)
        tool.run("convert", tool.SMALL, "unnamed.resattn", "--classes", "7")
        _, err = train("--load", "unnamed.resattn", "--data", "images", code=1)
        self.assertIn("unnamed.resattn: 7 classes, but the images have 10", err)
        _, err = train("--load", "unnamed.resattn", "--model", "quickstart", "--data", "images", code=1)
        self.assertIn("another network than --model says", err)
        train("--load", "unnamed.resattn", "--model", tool.SMALL, "--data", "images", "--limit", "16", "--batch", "8",
              "--epochs", "1", "--out", "named.resattn")

    def test_everything(self):
        """What else can be chosen, at once; stopped in between."""
        options = ["--model", "attention-56-cifar", "--set", "learning=naive", "--set", "activation=3", "--set", "modules1=0",
                   "--set", "modules2=0", "--set", "width1=4", "--set", "width2=4", "--set", "width3=4", "--data", "shapes",
                   "--limit", "36", "--batch", "8", "--micro-batches", "2", "--epochs", "2", "--optimizer", "adamw",
                   "--schedule", "cosine", "--warm-up", "0.2", "--label-smoothing", "0.1", "--class-weights", "balanced",
                   "--augment", "crop-flip", "--colour", "0.3", "--label-noise", "0.3", "--mask-targets", "0.5", "--mask-loss",
                   "dice", "--rate-of", "classifier=0.5", "--log-steps", "1", "--storage", "f16", "--seed", "7"]
        train(*options, "--log", "every.csv", "--out", "every.resattn")
        train(*options, "--log", "again.csv", "--out", "again.resattn", "--checkpoint", "again.state",
              "--stop-after-steps", "5")
        train("--resume", "again.state")
        self.assertEqual(rows("every.csv"), rows("again.csv"))
        self.assertEqual(data_of("every.resattn"), data_of("again.resattn"))
        self.assertGreater(min(float(row["mask_loss"]) for row in rows("every.csv")), 0)
        self.assertIn("float16", tool.run("info", "every.resattn")[0])
        plain = [*options, "--label-noise", "0"]
        train(*plain, "--log", "plain.csv", "--out", "plain.resattn")
        self.assertNotEqual(rows("plain.csv"), rows("every.csv"))

    def test_curves(self):
        arguments = [*SHORT, "--epochs", "2", "--curves", "curves.png", "--out", "curves.resattn"]
        if not tool.options.cairo:
            self.assertIn("built without cairo", train(*arguments, code=2)[1])
            return
        train(*arguments)
        import tool_attend
        width, height, picture = tool_attend.read_png("curves.png")
        colours = {bytes(row[3 * x:3 * x + 3]) for row in picture for x in range(width)}
        for colour in [(0.13, 0.40, 0.67), (0.84, 0.37, 0.05), (1, 1, 1)]:
            self.assertTrue(any(all(abs(byte - 255 * share) <= 1 for byte, share in zip(found, colour))
                                for found in colours))
        self.assertIn("absent/c.png: ", train(*arguments[:-4], "--curves", "absent/c.png", code=1)[1])


class Pictures(unittest.TestCase):
    """Folders of pictures."""

    def setUp(self):
        if not tool.options.pictures:
            self.skipTest("no pictures")
        for c in range(3):
            for i in range(8):
                tool.write(f"set/n{c}/p{i}.png", tool.png(40 + i, 36 + c, 2, tool.spots(8 * c + i)))
                tool.write(f"places/n{c}/p{i}.png", tool.png(20, 18, 0, lambda x, y: (255 if x < 10 else 0,)))

    def test_whole(self):
        out, _ = train("--model", "quickstart", "--data", "set", "--batch", "6", "--epochs", "2", "--validation", "0.25",
                       "--augment", "none", "--mask-targets", "1", "--target-folder", "places", "--log", "set.csv",
                       "--out", "set.resattn")
        self.assertIn("No test images", out)
        self.assertRegex(tool.run("info", "set.resattn")[0], r"classes +3: n0, n1, n2")
        self.assertEqual([row["kind"] for row in rows("set.csv")], ["epoch"] * 2)

    def test_unreadable(self):
        arguments = ["--model", "quickstart", "--data", "set", "--batch", "6", "--epochs", "4", "--checkpoint", "set.state"]
        train(*arguments, "--stop-after-steps", "2")
        before = data_of("set.state")
        tool.write("set/n1/p3.png", tool.png(40, 36)[:100])
        out, err = train("--resume", "set.state", code=1)
        self.assertEqual(out, "")
        self.assertIn("set/n1/p3.png: ", err)
        self.assertEqual(data_of("set.state"), before)


if __name__ == "__main__":
    tool.main("__main__")
