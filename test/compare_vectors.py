#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares two descriptions of a network's run: compare_vectors.py REFERENCE.json OURS.json

The reference was computed in double precision. Prints the worst case of each kind beside its bound; exits with 1 where a
bound is exceeded or something is missing.
"""
import json
import math
import sys

# Logits: of the largest logit's magnitude; and, as the logits of different images are close to one another, the differences
# between two images, of the difference's norm.
LOGITS = 2e-4
LOGIT_DIFFERENCES = 0.02
# It moves by at most twice what a logit does, and is several times as large as the logits.
LOSS = 5e-5
# Gradients: the reference tells how far another float32 program came from it ("float32_deviation"; a few ReLUs and poolings
# decide differently). The L2 norm may be off by that or GRADIENT_L2, the probe, a sum with random signs of an error with
# that norm, by PROBE_DEVIATIONS times as much.
GRADIENT_L2 = 1e-3
PROBE_DEVIATIONS = 4
# Masks and running statistics are continuous in all values before them, ReLUs and poolings included: what is left is rounding,
# some 1e-6 after a hundred layers with batch statistics. The same two bounds.
VALUE_L2 = 1e-5


class Report:
    def __init__(self):
        self.worst = {}

    def add(self, kind, name, error, bound):
        """Keeps the case that is nearest to its bound, or furthest beyond it."""
        ratio = error / bound if math.isfinite(error) else math.inf
        if kind not in self.worst or ratio > self.worst[kind][0]:
            self.worst[kind] = (ratio, name, error, bound)

    def finish(self):
        failed = False
        for kind, (ratio, name, error, bound) in self.worst.items():
            verdict = 'ok' if ratio <= 1 else 'FAILED'
            failed |= ratio > 1
            print(f'{kind:20} {error:10.3g} of at most {bound:8.3g}  {verdict:6}  {name}')
        return failed


def norm(values):
    return math.sqrt(sum(v * v for v in values))


def compare_logits(report, reference, ours):
    if [len(r) for r in reference] != [len(r) for r in ours]:
        sys.exit(f'logits: {len(ours)} x {len(ours[0])}, expected {len(reference)} x {len(reference[0])}')
    largest = max(abs(v) for row in reference for v in row)
    for i, (expected, got) in enumerate(zip(reference, ours)):
        report.add('logits', f'image {i}', max(abs(a - b) for a, b in zip(expected, got)) / largest, LOGITS)
        for j in range(i):
            wanted = [a - b for a, b in zip(expected, reference[j])]
            found = [a - b for a, b in zip(got, ours[j])]
            error = norm([a - b for a, b in zip(wanted, found)]) / norm(wanted)
            report.add('logit differences', f'images {i} and {j}', error, LOGIT_DIFFERENCES)


def compare_summary(report, kind, name, reference, ours, deviation):
    if reference['count'] != ours['count']:
        sys.exit(f'{name}: {ours["count"]} elements, expected {reference["count"]}')
    length = reference['l2']
    report.add(kind + ' norms', name, abs(ours['l2'] - length) / length, deviation)
    report.add(kind + ' probes', name, abs(ours['probe'] - reference['probe']) / length, PROBE_DEVIATIONS * deviation)


def compare_group(report, kind, reference, ours, least):
    if set(reference) != set(ours):
        sys.exit(f'{kind}: only in the reference {sorted(set(reference) - set(ours))}, '
                 f'only in ours {sorted(set(ours) - set(reference))}')
    for name, expected in reference.items():
        compare_summary(report, kind, name, expected, ours[name], max(expected.get('float32_deviation', 0), least))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    reference, ours = (json.load(open(path, encoding='utf-8')) for path in sys.argv[1:])
    for key in ('graph', 'mode', 'input', 'seed', 'labels'):
        if reference.get(key) != ours.get(key):
            sys.exit(f'{key}: {ours.get(key)}, expected {reference.get(key)}')
    report = Report()
    compare_logits(report, reference['logits'], ours['logits'])
    if reference['mode'] == 'inference':
        compare_group(report, 'mask', reference['masks'], ours['masks'], VALUE_L2)
    else:
        report.add('loss', 'loss', abs(ours['loss'] - reference['loss']) / reference['loss'], LOSS)
        compare_group(report, 'running', reference['running'], ours['running'], VALUE_L2)
        compare_group(report, 'gradient', reference['grads'], ours['grads'], GRADIENT_L2)
        compare_group(report, 'input gradient', {'data': reference['grad_input']}, {'data': ours['grad_input']},
                      GRADIENT_L2)
    return report.finish()


if __name__ == '__main__':
    sys.exit(main())
