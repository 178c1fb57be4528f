import fs from 'node:fs'
import { poolRoom, type LongPoolDecoder, type PoolEncoder } from '../block/types.js'
import { poolCodec } from '../codec/registry.js'
import { allOf } from './all-of.js'
import { scanChunk, type ScannedRun } from './chunk.js'
import { fillAsync, fillPacked, UnitBuffers, type Packed } from './fill.js'
import { clear, judgeChunk, packEach, type Task, type TaskResult } from './task.js'

/** Compressed units that lie together are read at once, up to so many bytes with what lies between them. */
const longestRead = 2 * 1024 * 1024
const longestGap = 65536

/**
 * Tasks whose units are decoded or compressed by libraries in the threads of Node's pool. That needs no threads of our
 * own, of which each takes as long to start as decoding 30 MiB; and one call reads the units of a whole chunk.
 */
export class PoolTasks {
  readonly #free: Uint8Array[] = []
  readonly #buffers = new UnitBuffers()

  /** Whether all of a task can be done so. */
  takes({ mode, packing, digests, parts, pieces, base }: Task): boolean {
    if (mode === 'hash' || mode === 'pack' || (digests?.length ?? 0) > 0 || parts !== undefined) return false
    if (packing !== undefined && (packing.always === true || encoderOf(packing) === undefined)) return false
    return [...pieces, ...(base?.pieces ?? [])].every(
      (piece) =>
        piece.kind === 'data' || (piece.length === piece.unitLength && poolCodec(piece.codec).decode !== undefined),
    )
  }

  /** @throws ImageError. Nothing reads or writes the buffer any more when it settles. */
  async run(task: Task, buffer: Uint8Array, half: number): Promise<TaskResult> {
    const bytes = buffer.subarray(0, task.length)
    const parts = [this.#fill(task, bytes)]
    let base: Uint8Array | undefined
    if (task.base !== undefined) {
      base = buffer.subarray(half, half + task.length)
      parts.push(this.#fill({ length: task.length, ...task.base }, base))
    }
    await allOf(parts)
    const encode = task.packing === undefined ? undefined : encoderOf(task.packing)
    if (task.packing === undefined || encode === undefined) return judgeChunk(task, bytes, base, buffer)
    const runs = scanChunk(bytes, task.length, task.unit, base)
    return { runs: await this.#pack(runs, bytes, task.packing.length, encode) }
  }

  async #fill(content: Pick<Task, 'length' | 'pieces' | 'present'>, target: Uint8Array): Promise<void> {
    clear(target, content)
    const plain = content.pieces.filter((piece) => piece.kind === 'data')
    const groups = together(content.pieces.filter((piece) => piece.kind === 'packed'))
    await allOf([fillAsync(plain, target, this.#buffers), ...groups.map((group) => this.#decode(group, target))])
  }

  async #decode(units: readonly Packed[], target: Uint8Array): Promise<void> {
    const [first] = units
    if (units.length === 1 && first !== undefined && first.storedLength > longestRead) {
      const decode = poolCodec(first.codec).decodeLong
      if (decode !== undefined) {
        await this.#decodeLong(first, decode, target)
        return
      }
    }
    const start = Math.min(...units.map(({ position }) => position))
    const end = Math.max(...units.map(endOf))
    const stored = this.#take(end - start)
    try {
      const length = await readUpTo(units[0]?.descriptor ?? -1, stored.subarray(0, end - start), start)
      const read = stored.subarray(0, length)
      const { runs, alone } = runsOf(units, read, start)
      await allOf([
        this.#decodeEach(alone, read, start, target),
        ...runs.map((run) => this.#decodeRun(run, read, start, target)),
      ])
    } finally {
      this.#free.push(stored)
    }
  }

  /** Decodes a unit whose bytes are not all in memory. */
  async #decodeLong(unit: Packed, decode: LongPoolDecoder, target: Uint8Array): Promise<void> {
    const { descriptor, position, storedLength, at, length } = unit
    const read = (start: number, bytes: Uint8Array): Promise<number> => readUpTo(descriptor, bytes, position + start)
    if (!(await decode(storedLength, read, target.subarray(at, at + length)))) fillPacked(unit, target, this.#buffers)
  }

  /** Decodes units by a call for each. @param start where in the file `stored` is from. */
  async #decodeEach(units: readonly Packed[], stored: Uint8Array, start: number, target: Uint8Array): Promise<void> {
    for (const codec of new Set(units.map((unit) => unit.codec))) {
      const own = units.filter((unit) => unit.codec === codec)
      const there = own.filter((unit) => endOf(unit) - start <= stored.length)
      const decoded = await poolCodec(codec).decode?.(
        there.map(({ position, storedLength, at, length }) => ({
          input: stored.subarray(position - start, position - start + storedLength),
          output: target.subarray(at, at + length),
        })),
      )
      const done = new Set(there.filter((_, index) => decoded?.[index] === true))
      // It says what is wrong, or takes what the library does not.
      for (const unit of own) if (!done.has(unit)) fillPacked(unit, target, this.#buffers)
    }
  }

  /** Decodes units by one call. @param start where in the file `stored` is from. */
  async #decodeRun(run: UnitRun, stored: Uint8Array, start: number, target: Uint8Array): Promise<void> {
    const [first] = run.units
    if (first === undefined) return
    const { joined } = poolCodec(first.codec)
    const place = target.subarray(first.at, first.at + first.length * run.units.length)
    if (run.isJoined) {
      const at = first.position - start
      if ((await joined?.decode(stored.subarray(at, at + sumOf(run.lengths)), place)) === true) return
    } else {
      const gathered = this.#take(sumOf(run.lengths))
      try {
        const length = gather(run.units, run.lengths, stored, start, gathered)
        if ((await joined?.decode(gathered.subarray(0, length), place)) === true) return
      } finally {
        this.#free.push(gathered)
      }
    }
    for (const unit of run.units) fillPacked(unit, target, this.#buffers)
  }

  async #pack(
    runs: readonly ScannedRun[],
    bytes: Uint8Array,
    unit: number,
    encode: PoolEncoder,
  ): Promise<ScannedRun[]> {
    const room = poolRoom(unit)
    const places = runs.flatMap(({ kind, at, length }) =>
      kind === 'data' ? Array.from({ length: Math.floor(length / unit) }, (_, index) => at + index * unit) : [],
    )
    const output = this.#take(places.length * room)
    const packed = new Map<number, Uint8Array>()
    try {
      const units = places.map((at, index) => ({
        input: bytes.subarray(at, at + unit),
        output: output.subarray(index * room, (index + 1) * room),
      }))
      for (const [index, length] of (await encode(units)).entries())
        if (length !== undefined && length < unit)
          packed.set(places[index] ?? 0, output.subarray(index * room, index * room + length))
      return packEach(runs, bytes, unit, (_, at) => packed.get(at))
    } finally {
      this.#free.push(output)
    }
  }

  /** Memory that nobody else uses meanwhile. */
  #take(length: number): Uint8Array {
    const found = this.#free.findIndex((free) => free.length >= length)
    // One that is too short will be again.
    const [free] = this.#free.splice(Math.max(0, found), 1)
    return free !== undefined && found >= 0 ? free : new Uint8Array(length)
  }
}

function encoderOf({ codec, level }: NonNullable<Task['packing']>): PoolEncoder | undefined {
  return poolCodec(codec).encoder?.(level)
}

/** Units that one call decodes into one place. */
interface UnitRun {
  readonly units: Packed[]
  /** Bytes of each, as it says itself. */
  readonly lengths: number[]
  /** Whether each stands right behind the one before. */
  isJoined: boolean
}

/**
 * Units of a group, in the order of the disk, by the calls that decode them; those that do not say how long they are
 * get a call for each. @param start where in the file `stored` is from.
 */
function runsOf(
  units: readonly Packed[],
  stored: Uint8Array,
  start: number,
): { readonly runs: readonly UnitRun[]; readonly alone: readonly Packed[] } {
  const runs: UnitRun[] = []
  const alone: Packed[] = []
  for (const unit of units) {
    const length = measured(unit, stored, start)
    const run = runs.at(-1)
    const last = run?.units.at(-1)
    if (length === undefined) alone.push(unit)
    else if (run === undefined || last === undefined || !follows(unit, last))
      runs.push({ units: [unit], lengths: [length], isJoined: true })
    else {
      run.isJoined &&= last.position + (run.lengths.at(-1) ?? 0) === unit.position
      run.units.push(unit)
      run.lengths.push(length)
    }
  }
  return { runs, alone }
}

/** How many bytes a unit says that it has; undefined where it does not, or is not all there. */
function measured(unit: Packed, stored: Uint8Array, start: number): number | undefined {
  const { joined } = poolCodec(unit.codec)
  const at = unit.position - start
  if (joined === undefined || at + unit.storedLength > stored.length) return undefined
  return joined.measure(stored.subarray(at, at + unit.storedLength), unit.length)
}

/** Whether a unit goes right behind another, and is of the same kind. */
function follows(unit: Packed, last: Packed): boolean {
  return unit.codec === last.codec && unit.length === last.length && unit.at === last.at + last.length
}

/** Puts units one behind the other; gives how many bytes they have. */
function gather(
  units: readonly Packed[],
  lengths: readonly number[],
  stored: Uint8Array,
  start: number,
  target: Uint8Array,
): number {
  let done = 0
  for (const [index, { position }] of units.entries()) {
    const length = lengths[index] ?? 0
    target.set(stored.subarray(position - start, position - start + length), done)
    done += length
  }
  return done
}

const sumOf = (lengths: readonly number[]): number => lengths.reduce((sum, length) => sum + length, 0)

const endOf = ({ position, storedLength }: Packed): number => position + storedLength

/**
 * Units as groups that are worth one read, each in the order of the disk. In the file they may have another: who
 * compresses several at a time writes them as they get done.
 */
function together(units: readonly Packed[]): Packed[][] {
  const groups: Packed[][] = []
  let start = 0
  let end = 0
  for (const unit of [...units].sort((a, b) => a.descriptor - b.descriptor || a.position - b.position)) {
    const group = groups.at(-1) ?? []
    const fits =
      group[0]?.descriptor === unit.descriptor &&
      unit.position <= end + longestGap &&
      endOf(unit) - start <= longestRead
    if (fits) group.push(unit)
    else {
      groups.push([unit])
      start = unit.position
    }
    end = fits ? Math.max(end, endOf(unit)) : endOf(unit)
  }
  return groups.map((group) => group.sort((a, b) => a.at - b.at))
}

/** How many bytes were there; 0 where they cannot be read: who reads the units one by one finds out why. */
function readUpTo(descriptor: number, target: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve) => {
    let done = 0
    const step = (): void => {
      fs.read(descriptor, target, done, target.length - done, position + done, (cause, count) => {
        if (cause !== null || count === 0) resolve(done)
        else if ((done += count) < target.length) step()
        else resolve(done)
      })
    }
    step()
  })
}
