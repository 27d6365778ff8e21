#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs resattn train: what it computes, how it stops and goes on, and what it says about bad input. Arguments as for
tool.py, and --kills N: how often a training is killed, 12 at first."""
import csv
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
import tool

kills = 12
# 20 epochs of 10 steps each, on files that setUpModule() writes
SHORT = ["--model", "quickstart", "--data", "images", "--batch", "4", "--epochs", "20",
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


def start(*arguments):
    """A training of its own, which minds SIGHUP also where the tests run under nohup."""
    return subprocess.Popen([tool.tool, "train", *map(str, arguments)], cwd=tool.folder, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))


def rows(name):
    """The lines of a log as dictionaries, without the time that they took."""
    text = (tool.folder / name).read_text()
    assert text.endswith("\n")
    return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(text.splitlines())]


def data_of(name):
    return (tool.folder / name).read_bytes()


def lines_of(name):
    path = tool.folder / name
    return path.read_bytes().count(b"\n") if path.exists() else 0


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


class GoingOn(unittest.TestCase):
    """Trainings that are interrupted end as if they had not been."""

    @classmethod
    def setUpClass(cls):
        cls.options = [*SHORT, "--average", "0.9", "--average-batches", "3", "--log-steps", "1"]
        train(*cls.options, "--log", "whole.csv", "--best", "whole.best", "--out", "whole.resattn", "--checkpoint",
              "late.state", "--checkpoint-steps", "185")

    def check_same(self, name, best=True):
        self.assertEqual(rows(name + ".csv"), rows("whole.csv"))
        self.assertEqual(data_of(name + ".resattn"), data_of("whole.resattn"))
        if best:
            self.assertEqual(data_of(name + ".best"), data_of("whole.best"))

    def files_of(self, name):
        return ["--log", name + ".csv", "--best", name + ".best", "--out", name + ".resattn", "--checkpoint",
                name + ".state"]

    def test_log(self):
        table = rows("whole.csv")
        steps = [row for row in table if row["kind"] == "step"]
        epochs = [row for row in table if row["kind"] == "epoch"]
        self.assertEqual([int(row["step"]) for row in steps], list(range(1, 201)))
        self.assertEqual([(int(row["epoch"]), int(row["step"])) for row in epochs],
                         [(i, 10 * i) for i in range(1, 21)])
        for row in epochs:
            of_steps = steps[10 * int(row["epoch"]) - 10:10 * int(row["epoch"])]
            for column in ["loss", "accuracy"]:
                mean = sum(float(step[column]) for step in of_steps) / 10
                self.assertAlmostEqual(float(row[column]), mean, places=6)
            self.assertEqual([row["rate"], row["gradient_norm"]],
                             [of_steps[-1]["rate"], of_steps[-1]["gradient_norm"]])
        # one cycle of the rate (Smith and Topin), from a 25th up within 0.3 of the steps
        for row in steps:
            at = (int(row["step"]) - 1) / (0.3 * 200)
            if at < 1:
                rate = 0.05 / 25 + (0.05 - 0.05 / 25) * (1 - math.cos(math.pi * at)) / 2
                self.assertAlmostEqual(float(row["rate"]), rate, places=6)

    def test_threads(self):
        train(*self.options, "--threads", "2", "--log", "two.csv", "--best", "two.best", "--out", "two.resattn")
        self.check_same("two")

    def test_signals(self):
        """Stopped four times by signals at random steps, and resumed with other numbers of threads."""
        arguments = [*self.options, *self.files_of("stopped")]
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
            before = lines_of("stopped.csv")
            process = start(*arguments)
            while process.poll() is None and lines_of("stopped.csv") < before + random.randrange(2, 12):
                time.sleep(0.01)
            process.send_signal(number)
            out, err = process.communicate()
            self.assertEqual(process.returncode, 128 + number, err)
            self.assertEqual(out, b"")
            self.assertIn(b"resattn train --resume stopped.state", err)
            self.assertFalse((tool.folder / "stopped.resattn").exists())
            arguments = ["--resume", "stopped.state", "--threads", random.choice([1, 2])]
        train(*arguments)
        self.check_same("stopped")
        self.assertNotIn("resattn.train", tool.run("info", "stopped.resattn")[0])

    def test_second_signal(self):
        """The second one ends the program in the middle of a step, here of a slow one."""
        process = start("--model", "resnet-110-cifar", "--data", "images", "--batch", "48", "--epochs",
                        "1000", "--threads", "1", "--out", "second.resattn", "--log", "second.csv")
        while lines_of("second.csv") < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        while b"Stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_steps(self):
        """Stopped after a number of steps, at the end of an epoch and elsewhere; the log has grown beyond that, and is
        not whole."""
        train(*self.options, *self.files_of("steps"), "--stop-after-steps", "40")
        with open(tool.folder / "steps.csv", "a") as file:
            file.write("step,41,5,1,1,1,1,1,,,1\nepoch,50,5,1,1,1,1,1,1,1,1\nstep,5")
        train("--resume", "steps.state", "--stop-after-steps", "27")
        self.assertEqual(rows("steps.csv"), rows("whole.csv")[:67 + 6])
        train("--resume", "steps.state")
        self.check_same("steps")
        out, _ = train("--resume", "steps.state")  # once more from the last checkpoint
        self.assertIn("Saved as steps.resattn", out)
        self.check_same("steps")

    def test_kills(self):
        """Killed at random times while it saves after every step: the checkpoint can be read every time."""
        inside = done = 0
        arguments = first = [*self.options, *self.files_of("killed"), "--checkpoint-steps", "1"]
        state = tool.folder / "killed.state"
        while done < kills:
            process = start(*arguments)
            before = state.stat().st_mtime_ns if state.exists() else 0
            while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
                time.sleep(0.005)
            time.sleep(random.uniform(0, 0.3))
            process.kill()
            process.communicate()
            if process.returncode == 0:  # it came to its end
                state.unlink()
                arguments = first
                continue
            self.assertEqual(process.returncode, -signal.SIGKILL)
            done += 1
            for left in tool.folder.glob(".killed.state.*"):
                left.unlink()
                inside += 1
            self.assertIn("resattn.train.progress", tool.run("info", "killed.state")[0])
            arguments = ["--resume", "killed.state"]
        print(f"{done} kills, {inside} while a checkpoint was written", file=sys.stderr)
        self.assertGreater(inside, done // 10)
        train("--resume", "killed.state", "--checkpoint-steps", "0")
        self.check_same("killed")

    def go_on_late(self, name, *options, **more):
        """Goes on with a copy of a late checkpoint."""
        shutil.copy(tool.folder / "late.state", tool.folder / (name + ".state"))
        shutil.copy(tool.folder / "whole.csv", tool.folder / (name + ".csv"))
        files = ["--log", name + ".csv", "--out", name + ".resattn"]
        return train("--resume", name + ".state", *files, *options, **more)

    def test_full_disk(self):
        """Files can grow to 64 kB only: the log fits, a checkpoint or a network does not."""
        out, err = self.go_on_late("full", "--checkpoint-steps", "7", size=1 << 16, code=1)
        self.assertEqual(out, "")
        self.assertIn("no checkpoint at step 189: full.state: ", err)
        self.assertIn("no checkpoint at step 196: full.state: ", err)
        self.assertIn("full.resattn: ", err)
        self.assertNotIn("To try again", err)
        self.assertEqual(data_of("full.state"), data_of("late.state"))
        self.assertFalse((tool.folder / "full.resattn").exists())
        self.assertEqual(rows("full.csv"), rows("whole.csv"))
        train("--resume", "full.state", "--log", "full.csv", "--out", "full.resattn")
        self.check_same("full", best=False)

    def test_last_attempt(self):
        """Where the network cannot be saved, the state of the training is kept."""
        (tool.folder / "taken.resattn").mkdir()
        tool.write("taken.resattn/file", b"")
        _, err = self.go_on_late("taken", code=1)
        self.assertIn("taken.resattn: ", err)
        self.assertIn("resattn train --resume taken.state", err)
        self.assertNotEqual(data_of("taken.state"), data_of("late.state"))
        train("--resume", "taken.state", "--out", "free.resattn")
        self.assertEqual(data_of("free.resattn"), data_of("whole.resattn"))

    def test_full_log(self):
        size = len(data_of("whole.csv").split(b"\nstep,190,")[0]) + 20
        _, err = self.go_on_late("short", size=size, code=1)
        self.assertEqual(err.count("short.csv: cannot be written"), 1)
        self.assertIn("short.csv: lines are missing at the end", err)
        found = rows("short.csv")
        self.assertEqual(found, rows("whole.csv")[:len(found)])
        self.assertEqual(found[-1]["step"], "189")
        self.assertIn("/dev/full: not a file", train(*self.options, "--log", "/dev/full", code=1)[1])

    def test_contradictions(self):
        train(*self.options, *self.files_of("other"), "--stop-after-steps", "3")
        for options, message in [(("--rate", "0.2"), "--rate is '0.2', but the training that is resumed has rate = 0.05"),
                                 (("--epochs", "21"), "--epochs is '21'"), (("--freeze", "stage1"), "has none"),
                                 (("--load", "x"), "--load is 'x'"), (("--rate", "x"), "--rate is 'x'")]:
            self.assertIn(message, train("--resume", "other.state", *options, code=2)[1])
        (tool.folder / "other.cfg").write_text("batch = 9\n")
        _, err = train("--resume", "other.state", "--config", "other.cfg", code=2)
        self.assertIn("other.cfg:1: batch is '9'", err)
        train("--resume", "other.state", "--rate", "0.05", "--stop-after-steps", "1")  # the same
        _, err = train("--resume", "whole.resattn", code=1)
        self.assertIn("whole.resattn: a network without the state of a training", err)
        self.assertIn("absent: ", train("--resume", "absent", code=1)[1])
        cifar("other", 40, 10)
        _, err = train("--resume", "other.state", "--data", "other", code=1)
        self.assertIn("other.state: was made with 40 training images", err)


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
        model = ["--model", "attention-56-cifar", "--data", "shapes"]
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
        out, err = train("--load", "absent.resattn", "--data", "shapes", code=1)
        self.assertIn("absent.resattn", err)
        tool.run("convert", tool.SMALL, "unnamed.resattn", "--classes", "7")
        _, err = train("--load", "unnamed.resattn", "--data", "shapes", code=1)
        self.assertIn("unnamed.resattn: 7 classes, but the images have 10", err)
        _, err = train("--load", "unnamed.resattn", "--model", "quickstart", "--data", "shapes", code=1)
        self.assertIn("another network than --model says", err)
        train("--load", "unnamed.resattn", "--model", tool.SMALL, "--data", "shapes", "--limit", "16", "--batch", "8",
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
    if "--kills" in sys.argv:
        place = sys.argv.index("--kills")
        kills = int(sys.argv[place + 1])
        del sys.argv[place:place + 2]
    tool.main("__main__")
