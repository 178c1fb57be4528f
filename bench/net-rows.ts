import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { Ending } from '../test/support/ports.js'
import { Line, noLines } from './line.js'
import { inBalancedOrder, run } from './measure.js'
import { httpTransfers } from './net-http.js'
import { sshTransfers } from './net-ssh.js'
import { azureTransfers, ociTransfers, s3Transfers } from './net-stores.js'
import { at, dataSize, have, isWanted, rounds, type Command, type Throughput } from './row.js'
import type { NetKind, Transfer } from './transfer.js'

/** Disks of other computers, behind lines of several delays, against what else moves them. */

const kinds: readonly NetKind[] = [httpTransfers, sshTransfers, s3Transfers, azureTransfers, ociTransfers]
const delays = [0, 20, 80]
/** A connection of qemu-img's or nbdkit's over 80 ms takes minutes for more, in bytes. */
const mostDelayed = 256 * 1024 * 1024

/** How long one run may take, in seconds. */
const longest = '60'

const nameOf = (transfer: string, delay: number): string => `net ${transfer}, ${delay} ms of delay`

export async function* netRows(): AsyncGenerator<Throughput> {
  for (const kind of kinds) {
    if (!isAnyWanted(kind, delays) || !have(`net ${kind.names.join(', ')}`, ...kind.tools)) continue
    yield* rowsOf(kind, [0], dataSize)
    yield* rowsOf(kind, delays.slice(1), Math.min(dataSize, mostDelayed))
  }
}

async function* rowsOf(kind: NetKind, delays: readonly number[], size: number): AsyncGenerator<Throughput> {
  if (!isAnyWanted(kind, delays)) return
  const ends: (() => unknown)[] = []
  const folder = at('net')
  try {
    fs.mkdirSync(folder, { recursive: true })
    makeDisk(path.join(folder, 'disk.raw'), size)
    const context = { after: (work: () => unknown) => void ends.push(work) } as Ending
    const target = path.join(folder, 'target')
    const transfers = await kind.start({ folder, target, size, context })
    for (const delay of delays) {
      const wanted = transfers.filter(({ name }) => isWanted(nameOf(name, delay)))
      if (wanted.length === 0) continue
      const missing = delay === 0 ? undefined : noLines()
      if (missing !== undefined) console.log(`net, ${delay} ms of delay: left out, ${missing}`)
      else
        for await (const { seconds, ...transfer } of measured(wanted, target, delay))
          yield rowOf(nameOf(transfer.name, delay), `${size / 1048576} MiB`, transfer, seconds)
    }
  } finally {
    for (const end of ends.reverse()) await end()
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

const isAnyWanted = ({ names }: NetKind, of: readonly number[]): boolean =>
  names.some((name) => of.some((delay) => isWanted(nameOf(name, delay))))

async function* measured(
  transfers: readonly Transfer[],
  target: string,
  delay: number,
): AsyncGenerator<Transfer & { readonly seconds: readonly (readonly number[])[] }> {
  using line = delay === 0 ? undefined : await Line.start(delay)
  for (const transfer of transfers) {
    const commands = [transfer.ours, ...transfer.peers]
    const seconds: number[][] = commands.map(() => [])
    const failed = new Set<Command>()
    for (const [index, command] of inBalancedOrder([...commands.entries()], rounds)) {
      fs.rmSync(target, { recursive: true, force: true })
      transfer.clear?.()
      execFileSync('sync')
      const { argv } = line?.behind(command) ?? command
      if (failed.has(command)) continue
      try {
        seconds[index]?.push((await run('timeout', ['-k', '5', longest, ...argv])).seconds)
      } catch (error) {
        // qemu-img's curl driver stands still now and then.
        if (command === transfer.ours) throw error
        console.log(`${transfer.name}: ${command.name} is left out: ${String(error).split('\n', 1).join()}`)
        failed.add(command)
      }
    }
    fs.rmSync(target, { recursive: true, force: true })
    yield { ...transfer, seconds }
  }
}

function rowOf(name: string, work: string, { peers }: Transfer, seconds: readonly (readonly number[])[]): Throughput {
  const [ours = [], ...theirs] = seconds
  const all = peers.map((one, index) => ({ ...one, seconds: theirs[index] ?? [] }))
  return { name, goal: 1, work, ours, peers: all.filter(({ seconds }) => seconds.length > 0) }
}

function makeDisk(file: string, size: number): void {
  const disk = fs.openSync(file, 'w')
  // Half of each mebibyte can be compressed.
  const filler = Buffer.alloc(524288, 'what a disk holds that can be compressed. ')
  for (let position = 0; position < size; position += 1048576) {
    fs.writeSync(disk, randomBytes(524288), 0, 524288, position)
    fs.writeSync(disk, filler, 0, filler.length, position + 524288)
  }
  fs.closeSync(disk)
}
