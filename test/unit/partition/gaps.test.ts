import { test } from 'node:test'
import { gapsOf, type Partition, type PartitionTable } from '../../../src/partition/index.js'
import { sameFacts } from '../../support/same-facts.js'

const partition = (number: number, start: number, length: number, role: Partition['role'] = 'primary'): Partition => ({
  number,
  start,
  length,
  role,
  type: { id: '0x83', name: 'Linux' },
  flags: [],
})
const table = (partitions: Partition[], rest: Partial<PartitionTable> = {}): PartitionTable => ({
  scheme: 'mbr',
  sectorSize: 512,
  capacity: 100 * 512,
  partitions,
  issues: [],
  hybrid: [],
  others: [],
  occupied: [],
  also: [],
  ...rest,
})

test('what no partition takes: before, between, behind, and inside an extended partition', () => {
  const gaps = gapsOf(
    table([
      partition(1, 10 * 512, 10 * 512),
      partition(2, 40 * 512, 50 * 512, 'extended'),
      partition(5, 45 * 512, 5 * 512, 'logical'),
    ]),
  )
  sameFacts(
    gaps.map(({ start, length, inside }) => [start / 512, length / 512, inside]),
    [
      [1, 9, undefined],
      [20, 20, undefined],
      [40, 5, 2],
      [50, 40, 2],
      [90, 10, undefined],
    ],
  )
})

test('overlapping partitions, and those past the end, leave no negative gaps', () => {
  sameFacts(
    gapsOf(table([partition(1, 512, 60 * 512), partition(2, 10 * 512, 10 * 512), partition(3, 90 * 512, 512 * 512)])),
    [{ start: 61 * 512, length: 29 * 512 }],
  )
  sameFacts(gapsOf(table([partition(1, 0, 100 * 512)])), [])
})

test('a GPT says what may be used; a disk without a table has no gaps', () => {
  sameFacts(gapsOf(table([], { scheme: 'gpt', usable: { start: 34 * 512, end: 67 * 512 } })), [
    { start: 34 * 512, length: 33 * 512 },
  ])
  sameFacts(gapsOf(table([], { scheme: 'none' })), [])
})
