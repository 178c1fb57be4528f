import type { Random } from './random.js'
import { seals } from './seal.js'
import type { SeedImage, Word } from './seeds.js'

/**
 * Changes a seed's bytes: fields to their extremes, words swapped or copied, blocks moved, the file cut or grown. Says
 * what it did.
 */
export function mutate(format: string, seed: SeedImage, random: Random): string[] {
  const done: string[] = []
  const count = 1 + random.below(5)
  for (let step = 0; step < count; step++) done.push(random.pick(mutations)(seed, random))
  const seal = seals[format]
  if (seal !== undefined && random.chance(0.85)) {
    seal(seed.store)
    done.push('sealed')
  }
  return done
}

type Mutation = (seed: SeedImage, random: Random) => string

function wordOf({ words, store }: SeedImage, random: Random): Word {
  const { position, length } = random.pick(words)
  const within = Math.max(0, Math.min(position, store.size - 8))
  return { position: within, length: Math.max(0, Math.min(length, store.size - within)) }
}

const bytesAt = ({ store }: SeedImage, { position, length }: Word): Buffer =>
  Buffer.from(store.bytes.subarray(position, position + length))

function numeric(value: bigint, length: number, big: boolean): Buffer {
  const bytes = Buffer.alloc(8)
  if (big) bytes.writeBigUInt64BE(BigInt.asUintN(64, value))
  else bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
  const width = Math.min(length, 8)
  return big ? bytes.subarray(8 - width) : bytes.subarray(0, width)
}

function interesting({ store }: SeedImage, random: Random): bigint {
  const size = BigInt(store.size)
  return random.pick<() => bigint>([
    () => BigInt(random.pick([0, 1, 2, 3, 7, 8, 9, 16, 31, 32, 63, 64, 255, 256, 511, 512, 4096, 65535, 65536])),
    () => 1n << BigInt(random.below(64)),
    () => (1n << BigInt(random.below(64))) - 1n,
    () => -BigInt(1 + random.below(4096)),
    () => size + BigInt(random.below(1025) - 512),
    () => size / 512n + BigInt(random.below(5) - 2),
    () => (BigInt(random.below(store.size + 1)) / 512n) * 512n,
    () => (BigInt(random.below(store.size + 1)) / 65536n) * 65536n,
    () => BigInt(random.below(store.size / 1048576 + 2)) * 1048576n + BigInt(random.below(8)),
    () => (1n << 63n) + (BigInt(random.below(store.size + 1)) / 65536n) * 65536n,
    () => BigInt(random.word()) * BigInt(random.word()),
  ])()
}

const mutations: readonly Mutation[] = [
  function field(seed, random) {
    const word = wordOf(seed, random)
    const bytes = numeric(interesting(seed, random), word.length, random.chance(0.5))
    seed.store.write(word.position, bytes)
    return `${bytes.toString('hex')} at ${word.position}`
  },
  function step(seed, random) {
    const word = wordOf(seed, random)
    const length = Math.min(word.length, 8)
    const big = random.chance(0.5)
    const padded = Buffer.alloc(8)
    bytesAt(seed, { ...word, length }).copy(padded, big ? 8 - length : 0)
    const value = big ? padded.readBigUInt64BE() : padded.readBigUInt64LE()
    seed.store.write(
      word.position,
      numeric(random.pick([value + 1n, value - 1n, value * 2n, value / 2n, ~value]), length, big),
    )
    return `arithmetic at ${word.position}`
  },
  function flip(seed, random) {
    const { position } = wordOf(seed, random)
    const at = position + random.below(8)
    if (at >= seed.store.size) return 'nothing'
    seed.store.write(at, Uint8Array.of((seed.store.bytes[at] ?? 0) ^ (1 << random.below(8))))
    return `one bit at ${at}`
  },
  function copyWord(seed, random) {
    const from = wordOf(seed, random)
    const { position } = wordOf(seed, random)
    const bytes = bytesAt(seed, from).subarray(0, seed.store.size - position)
    seed.store.write(position, bytes)
    return `${bytes.length} bytes from ${from.position} to ${position}`
  },
  function copyBlock(seed, random) {
    const length = random.pick([512, 1024, 4096, 65536])
    const [from, to] = [wordOf(seed, random), wordOf(seed, random)].map(
      ({ position }) => Math.floor(position / length) * length,
    )
    if (from === undefined || to === undefined) return 'nothing'
    const bytes = bytesAt(seed, { position: from, length }).subarray(0, seed.store.size - to)
    seed.store.write(to, bytes)
    return `block of ${bytes.length} from ${from} to ${to}`
  },
  function noise(seed, random) {
    const { position } = wordOf(seed, random)
    const bytes = Buffer.from(Array.from({ length: 1 + random.below(64) }, () => random.below(256))).subarray(
      0,
      seed.store.size - position,
    )
    seed.store.write(position, bytes)
    return `${bytes.length} random bytes at ${position}`
  },
  function cut(seed, random) {
    if (random.chance(0.7)) return 'nothing'
    const { position } = wordOf(seed, random)
    const size = random.pick([
      position,
      random.below(seed.store.size),
      seed.store.size - random.below(1024),
      seed.store.size + random.below(4096),
    ])
    seed.store.truncate(Math.max(64, size))
    return `size ${seed.store.size}`
  },
]
