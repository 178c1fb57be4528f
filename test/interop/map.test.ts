import { basename, dirname } from 'node:path'
import test from 'node:test'
import { map } from '../../src/index.js'
import { qemuExtents } from '../../src/operations/inspect/qemu-map.js'
import { have, runIn, scratch } from '../support/tools.js'
import { sameFacts } from '../support/same-facts.js'

type Entry = {
  start: number
  length: number
  depth: number
  present: boolean
  zero: boolean
  data: boolean
  compressed?: boolean
  offset?: number
}

/** qemu-img's map. Of subclusters that are not there it gives a place nevertheless, in runs that it does not join. */
function theirs(path: string, format: string): Entry[] {
  const entries: Entry[] = []
  for (const entry of JSON.parse(
    runIn(dirname(path), 'qemu-img', 'map', '-f', format, '--output=json', basename(path)),
  ) as Entry[]) {
    // Only newer versions of qemu-img say it.
    delete entry.compressed
    if (!entry.present) delete entry.offset
    const last = entries.at(-1)
    if (last !== undefined && !entry.present && !last.present && last.depth === entry.depth) last.length += entry.length
    else entries.push(entry)
  }
  return entries
}

function ours(path: string): Entry[] {
  using found = map(path)
  return [...qemuExtents(found)].map(({ start, length, depth, present, zero, data, offset }) => ({
    start,
    length,
    depth,
    present,
    zero,
    data,
    offset,
  }))
}

test('the map is that of qemu-img', (t) => {
  if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
  const at = scratch(t)
  const folder = at('.')
  const qemu = (...parameters: string[]): string => runIn(folder, 'qemu-img', ...parameters)
  const write = (format: string, file: string, ...commands: string[]): string =>
    runIn(folder, 'qemu-io', '-f', format, ...commands.flatMap((command) => ['-c', command]), file)

  qemu('create', '-q', '-f', 'raw', 'base.raw', '8M')
  write('raw', 'base.raw', 'write -P 1 0 2M', 'write -P 2 5M 68k')
  qemu('create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', 'middle.qcow2', '12M')
  write('qcow2', 'middle.qcow2', 'write -P 2 1M 64k', 'write -z 3M 128k', 'discard 64k 64k', 'write -P 3 11M 200k')
  qemu('create', '-q', '-f', 'qcow2', '-b', 'middle.qcow2', '-F', 'qcow2', '-o', 'cluster_size=4k', 'leaf.qcow2', '10M')
  write('qcow2', 'leaf.qcow2', 'write -P 4 5M 4k', 'write -P 4 9M 12k', 'write -z 1M 1M')
  qemu(
    'create',
    '-q',
    '-f',
    'qcow2',
    '-b',
    'middle.qcow2',
    '-F',
    'qcow2',
    '-o',
    'extended_l2=on',
    'subclusters.qcow2',
    '16M',
  )
  write('qcow2', 'subclusters.qcow2', 'write -P 4 5M 4k', 'write -P 4 14M 6k', 'write -z 14680k 8k')
  qemu('create', '-q', '-f', 'qcow2', '-o', 'preallocation=metadata', 'preallocated.qcow2', '8M')
  write('qcow2', 'preallocated.qcow2', 'write -P 5 5M 64k')
  qemu('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', 'v2.qcow2', '8M')
  write('qcow2', 'v2.qcow2', 'write -P 5 4M 1M', 'write -P 5 1M 1M')
  qemu('create', '-q', '-f', 'qcow2', '-o', 'data_file=outside.bin', 'data.qcow2', '8M')
  write('qcow2', 'data.qcow2', 'write -P 5 4M 1M', 'write -P 5 1M 64k')
  qemu('convert', '-c', '-f', 'raw', '-O', 'qcow2', 'base.raw', 'compressed.qcow2')
  write('qcow2', 'compressed.qcow2', 'write -P 6 1M 64k')
  qemu('convert', '-f', 'raw', '-O', 'vpc', '-o', 'subformat=dynamic', 'base.raw', 'dynamic.vhd')
  qemu('convert', '-f', 'raw', '-O', 'vpc', '-o', 'subformat=fixed,force_size=on', 'base.raw', 'fixed.vhd')
  qemu('create', '-q', '-f', 'qcow2', '-b', 'dynamic.vhd', '-F', 'vpc', 'over-vhd.qcow2', '10M')

  for (const file of [
    'base.raw',
    'middle.qcow2',
    'leaf.qcow2',
    'subclusters.qcow2',
    'preallocated.qcow2',
    'v2.qcow2',
    'data.qcow2',
    'compressed.qcow2',
    'dynamic.vhd',
    'fixed.vhd',
    'over-vhd.qcow2',
  ]) {
    const format = { raw: 'raw', vhd: 'vpc' }[file.split('.')[1] ?? ''] ?? 'qcow2'
    sameFacts(ours(at(file)), theirs(at(file), format), file)
  }
})
