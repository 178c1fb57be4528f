import assert from 'node:assert/strict'
import test from 'node:test'
import type { Progress } from '../../../src/operations/progress.js'
import { ProgressReporter, type ProgressMode } from '../../../src/cli/progress.js'

function report(
  mode: ProgressMode,
  events: readonly (readonly [phase: Progress['phase'], done: number, total: number, milliseconds: number])[],
  columns = 80,
): string[] {
  const written: string[] = []
  let now = 0
  const reporter = new ProgressReporter(mode, { columns, isTTY: true, write: (text) => written.push(text) }, () => now)
  for (const [phase, done, total, milliseconds] of events) {
    now = milliseconds
    reporter.update({ phase, done, total })
  }
  reporter.end()
  return written
}

const titles = /\u001b\[2[23];0t|\u001b\]0;[^\u0007]*\u0007/g

const gibibyte = 2 ** 30
const run = [
  ['copy', 0, gibibyte, 0],
  ['copy', 1048576, gibibyte, 10],
  ['copy', gibibyte / 4, gibibyte, 1000],
  ['copy', gibibyte, gibibyte, 2000],
  ['flush', 0, 1, 2001],
  ['verify', 0, gibibyte, 3000],
  ['verify', gibibyte, gibibyte, 4000],
  ['flush', 1, 1, 5000],
] as const

test('JSON lines: whole exactly once, when all is flushed', () => {
  const lines = report('json', run).map((text) => {
    assert.match(text, /^\{.*\}\n$/)
    return JSON.parse(text) as {
      phase: string
      done: number
      total: number | null
      bytesPerSecond: number
      etaSeconds: number | null
    }
  })
  assert.deepEqual(
    lines.map(({ phase, done }) => [phase, done]),
    [
      ['copy', 0],
      ['copy', gibibyte / 4],
      ['flush', 0],
      ['verify', 0],
      ['flush', 1],
    ],
  )
  assert.deepEqual(lines[1], {
    phase: 'copy',
    done: gibibyte / 4,
    total: gibibyte,
    bytesPerSecond: gibibyte / 4,
    etaSeconds: 3,
  })
  assert.equal(lines.filter(({ done, total }) => done === total).length, 1)
})

test('a total that is not known is null, never a number', () => {
  const [line] = report('json', [['read', 65536, 0, 0]])
  assert.deepEqual(JSON.parse(line!), { phase: 'read', done: 65536, total: null, bytesPerSecond: 0, etaSeconds: null })
})

test('the bar fits the line, never says 100 %, and is taken away', () => {
  const written = report('bar', [...run, ['read', 5 * 1048576, 0, 6000]])
  const text = written.join('').replace(titles, '')
  assert.match(text, /copying \[#+\.+\] {2}25 % {2}256 MiB\/s {2}3 s left/)
  assert.match(text, /flushing …/)
  assert.match(text, /reading {2}5 MiB/)
  assert.doesNotMatch(text, /100|NaN|Infinity/)
  assert.ok(text.endsWith('\r\u001b[K'))
  for (const line of text.split('\r\u001b[K')) assert.ok(line.length < 80, line)
})

test('a terminal has how far it is in its title, and gets its own title back', () => {
  const text = report('bar', run).join('')
  assert.deepEqual(text.match(titles), [
    '\u001b[22;0t',
    '\u001b]0;0 % copying - vdisk\u0007',
    '\u001b]0;25 % copying - vdisk\u0007',
    '\u001b]0;flushing - vdisk\u0007',
    '\u001b]0;0 % verifying - vdisk\u0007',
    '\u001b[23;0t',
  ])
  // Set once while it stays the same, and taken back once.
  assert.equal(text.split('\u001b[23;0t').length, text.split('\u001b[22;0t').length)
})

test('a terminal that says it has no columns is drawn on as one of 80', () => {
  assert.deepEqual(report('bar', run, 0), report('bar', run))
})

test('jobs are counted, what counts no bytes has no speed, and a program that runs is named', () => {
  const jobs = [
    ['jobs', 0, 4, 0],
    ['jobs', 1.5, 4, 1000],
    ['check', 5, 10, 2000],
    ['check', 6, 10, 3000],
    ['npm', 0, 1, 4000],
    ['npm', 1, 1, 5000],
  ] as const
  const text = report('bar', jobs).join('').replace(titles, '')
  assert.match(text, /running \[#+\.+\] {2}37 % {2}1 of 4 jobs {2}2 s left/)
  assert.match(text, /checking \[#+\.+\] {2}60 % {2}1 s left/)
  assert.match(text, /running npm …/)
  const lines = report('json', jobs).map((line) => JSON.parse(line) as { readonly bytesPerSecond: number })
  assert.deepEqual([...new Set(lines.map(({ bytesPerSecond }) => bytesPerSecond))], [0])
})

test('none is silent', () => {
  assert.deepEqual(report('none', run), [])
})
