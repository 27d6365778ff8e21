// SPDX-License-Identifier: BSD-3-Clause
//
// Runs an ONNX file in ONNX Runtime's package for Node. The environment variable ORT_MODULE tells where the package is.
//
//   node ort.js version
//   node ort.js logits MODEL SIZE IN OUT             images and logits as plain float32, one batch
//   node ort.js time MODEL SIZE BATCH THREADS RUNS   prints the median milliseconds of an image
'use strict';

const fs = require('fs');
const path = require('path');

const place = process.env.ORT_MODULE || 'onnxruntime-node';
const WARM_UP = 3;

async function open(ort, model, threads) {
  return ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  });
}

function feed(ort, session, values, batch, size) {
  const shape = [batch, values.length / (batch * size * size), size, size];
  return { [session.inputNames[0]]: new ort.Tensor('float32', values, shape) };
}

async function logits(ort, model, size, from, to) {
  const bytes = fs.readFileSync(from);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const session = await open(ort, model, 1);
  const result = await session.run(feed(ort, session, values, 1, Number(size)));
  const found = result[session.outputNames[0]].data;
  fs.writeFileSync(to, Buffer.from(found.buffer, found.byteOffset, found.byteLength));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

async function time(ort, model, ...numbers) {
  const [size, batch, threads, runs] = numbers.map(Number);
  const session = await open(ort, model, threads);
  const values = Float32Array.from({ length: batch * 3 * size * size }, () => 4 * Math.random() - 2);
  const images = feed(ort, session, values, batch, size);
  const times = [];
  for (let i = -WARM_UP; i < runs; i++) {
    const started = process.hrtime.bigint();
    await session.run(images);
    if (i >= 0)
      times.push(Number(process.hrtime.bigint() - started) / 1e6);
  }
  console.log((median(times) / batch).toFixed(4));
}

async function main([command, ...rest]) {
  const ort = require(path.isAbsolute(place) || !fs.existsSync(place) ? place : path.resolve(place));
  if (command === 'version')
    console.log(ort.env.versions.node || ort.env.versions.common);
  else if (command === 'logits' && rest.length === 4)
    await logits(ort, ...rest);
  else if (command === 'time' && rest.length === 5)
    await time(ort, ...rest);
  else
    throw new Error('usage: ort.js version | logits MODEL SIZE IN OUT | time MODEL SIZE BATCH THREADS RUNS');
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`ort.js: ${error.message.split('\n')[0]}`);
  process.exitCode = 1;
});
