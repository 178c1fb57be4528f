/**
 * A folder as Clonezilla writes it (ocs-functions: save_part_table_mbr_dm_info, image_save, save_swap …), with the same
 * programs, of a disk behind a loop device.
 */
import { execFile, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { run } from './tools.js'

export interface SavedPart {
  readonly number: number
  /** What partclone calls it: `ext4`; `swap`, `dd`, `ntfsclone` for what it does not save; undefined: left out. */
  readonly as: string
  readonly compress?: readonly [suffix: string, program: string, ...options: string[]]
  /** Bytes of a piece; undefined: not split. */
  readonly piece?: number
}

/** Loop devices over the partitions of a raw disk, by their numbers, gone after the test. */
export function partitionLoops(t: Pick<TestContext, 'after'>, file: string): (number: number) => string {
  const devices = new Map<number, string>()
  for (const [, number, start, size] of run('sfdisk', '-d', file).matchAll(/(\d+) : start=\s*(\d+), size=\s*(\d+)/g)) {
    const range = ['--offset', `${Number(start) * 512}`, '--sizelimit', `${Number(size) * 512}`]
    const path = run('losetup', '--find', '--show', ...range, file).trim()
    devices.set(Number(number), path)
    t.after(() => spawnSync('losetup', ['--detach', path]))
  }
  return (number) => devices.get(number) ?? ''
}

/**
 * Saves a disk as `savedisk` would. @param disk a raw image. @param device gives what its partitions are read from.
 * @param name what the disk was called: `sda`.
 */
export async function saveDisk(
  folder: string,
  disk: string,
  device: (number: number) => string,
  name: string,
  parts: readonly SavedPart[],
): Promise<void> {
  const at = (file: string): string => join(folder, file)
  const write = (file: string, bytes: string | Buffer): void => fs.writeFileSync(at(file), bytes)
  const named = (number: number): string => `${name}${/\d$/.test(name) ? 'p' : ''}${number}`
  fs.mkdirSync(folder, { recursive: true })
  const dump = run('sfdisk', '-d', disk)
    .replaceAll(new RegExp(`^${disk}p?(\\d+) :`, 'gm'), (_, number: string) => `/dev/${named(Number(number))} :`)
    .replaceAll(disk, `/dev/${name}`)
  write(`${name}-pt.sf`, dump)
  const sectors = fs.statSync(disk).size / 512
  const isGpt = /^label: gpt/m.test(dump)
  // parted -s /dev/sda unit s print
  write(
    `${name}-pt.parted`,
    `Model: Loopback device (loopback)\nDisk /dev/${name}: ${sectors}s\nSector size (logical/physical): 512B/512B\n` +
      `Partition Table: ${isGpt ? 'gpt' : 'msdos'}\nDisk Flags: \n`,
  )
  const dd = (file: string, ...options: string[]): void => {
    run('dd', `if=${disk}`, `of=${at(file)}`, 'bs=512', 'status=none', ...options)
  }
  if (isGpt) {
    dd(`${name}-gpt-1st`, 'count=34')
    // Clonezilla begins one sector behind the second GPT.
    dd(`${name}-gpt-2nd`, `skip=${sectors - 33 + 1}`, 'count=33')
  } else {
    const first = Math.min(...[...dump.matchAll(/start=\s*(\d+)/g)].map(([, start]) => Number(start)))
    dd(`${name}-hidden-data-after-mbr`, 'skip=1', `count=${first - 1}`)
  }
  dd(`${name}-mbr`, 'count=1')
  fs.appendFileSync(at('dev-fs.list'), parts.map(({ number, as }) => `/dev/${named(number)} ${as} 1G\n`).join(''))
  const saved = parts.filter(({ as }) => as !== 'swap').map(({ number }) => named(number))
  fs.appendFileSync(at('parts'), `${saved.join(' ')} `)
  fs.appendFileSync(at('disk'), `${name} `)
  // partclone waits for two seconds before it ends.
  await Promise.all(parts.map(async (part) => await savePart(folder, device(part.number), named(part.number), part)))
  write(
    'clonezilla-img',
    'This image was saved by Clonezilla at 2026-01-02 03:04:05 UTC.\nSaved by clonezilla-live-3.1.0-22-amd64.\n' +
      'The log during saving:\n----------------------------------------------------------\n',
  )
}

async function savePart(
  folder: string,
  loop: string,
  device: string,
  { as, compress, piece }: SavedPart,
): Promise<void> {
  const at = (file: string): string => join(folder, file)
  if (as === 'swap') {
    const value = (tag: string): string => spawnSync('blkid', ['-s', tag, '-o', 'value', loop]).stdout.toString().trim()
    fs.writeFileSync(at(`swappt-${device}.info`), `UUID="${value('UUID')}"\nLABEL="${value('LABEL')}"\n`)
    return
  }
  const log = at(`.log-${device}`)
  const [suffix, program, ...options] = compress ?? []
  const save = {
    dd: ['dd', `if=${loop}`, 'bs=1M', 'status=none'],
    ntfsclone: ['ntfsclone', '--force', '--save-image', '-q', '-O', '-', loop],
  }[as] ?? [`partclone.${as}`, '-c', '-F', '-q', '-L', log, '-s', loop, '-o', '-']
  const kind = { dd: 'dd-img', ntfsclone: 'ntfs-img' }[as] ?? `${as}-ptcl-img`
  // Images of dd and ntfsclone are compressed without saying so.
  const ending = as === 'dd' || as === 'ntfsclone' ? '' : `.${suffix ?? 'uncomp'}`
  const name = `${device}.${kind}${ending}`
  const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(' ')
  const through = program === undefined ? '' : ` | ${quoted([program, ...options])}`
  const into = piece === undefined ? `> '${at(name)}'` : `| split -a 2 -b ${piece} - '${at(name)}.'`
  await promisify(execFile)('bash', ['-o', 'pipefail', '-c', `${quoted(save)} 2> /dev/null${through} ${into}`])
  fs.rmSync(log, { force: true })
}
