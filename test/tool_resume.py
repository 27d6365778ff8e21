#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs resattn train and interrupts it: how it stops and goes on. Arguments as for tool.py, and --kills N: how often a
training is killed, 12 at first."""
import math
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
import tool
from tool_train import SHORT, cifar, data_of, rows, setUpModule, train

kills = 12


def start(*arguments):
    """A training of its own, which minds signals also where the tests run under nohup or in the background."""
    def mind():
        for number in [signal.SIGHUP, signal.SIGINT]:
            signal.signal(number, signal.SIG_DFL)
    return subprocess.Popen([tool.tool, "train", *map(str, arguments)], cwd=tool.folder, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, preexec_fn=mind)


def lines_of(name):
    path = tool.folder / name
    return path.read_bytes().count(b"\n") if path.exists() else 0


class GoingOn(unittest.TestCase):
    """Trainings that are interrupted end as if they had not been."""

    @classmethod
    def setUpClass(cls):
        cls.options = [*SHORT, "--average", "0.9", "--average-batches", "3", "--log-steps", "1"]
        train(*cls.options, "--log", "whole.csv", "--best", "whole.best", "--out", "whole.resattn", "--checkpoint",
              "late.state", "--checkpoint-steps", "85")

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
        self.assertEqual([int(row["step"]) for row in steps], list(range(1, 101)))
        self.assertEqual([(int(row["epoch"]), int(row["step"])) for row in epochs],
                         [(i, 10 * i) for i in range(1, 11)])
        for row in epochs:
            of_steps = steps[10 * int(row["epoch"]) - 10:10 * int(row["epoch"])]
            for column in ["loss", "accuracy"]:
                mean = sum(float(step[column]) for step in of_steps) / 10
                self.assertAlmostEqual(float(row[column]), mean, places=6)
            self.assertEqual([row["rate"], row["gradient_norm"]],
                             [of_steps[-1]["rate"], of_steps[-1]["gradient_norm"]])
        # one cycle of the rate (Smith and Topin), from a 25th up within 0.3 of the steps
        for row in steps:
            at = (int(row["step"]) - 1) / (0.3 * 100)
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
        """Killed at random times while it saves after every step: the checkpoint can be read every time. Goes on until
        enough kills have met a save."""
        inside = done = 0
        arguments = first = [*self.options, *self.files_of("killed"), "--checkpoint-steps", "1"]
        state = tool.folder / "killed.state"
        while done < kills or (inside <= kills // 10 and done < 5 * kills):
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
        self.assertGreater(inside, kills // 10)
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
        self.assertIn("no checkpoint at step 91: full.state: ", err)
        self.assertIn("no checkpoint at step 98: full.state: ", err)
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
        size = len(data_of("whole.csv").split(b"\nstep,90,")[0]) + 20
        _, err = self.go_on_late("short", size=size, code=1)
        self.assertEqual(err.count("short.csv: cannot be written"), 1)
        self.assertIn("short.csv: lines are missing at the end", err)
        found = rows("short.csv")
        self.assertEqual(found, rows("whole.csv")[:len(found)])
        self.assertEqual(found[-1]["step"], "89")
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


if __name__ == "__main__":
    if "--kills" in sys.argv:
        place = sys.argv.index("--kills")
        kills = int(sys.argv[place + 1])
        del sys.argv[place:place + 2]
    tool.main("__main__")
