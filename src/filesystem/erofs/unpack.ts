import { shortUnits } from '../../codec/short-units.js'
import { expandLz4 } from '../../codec/stream/lz4.js'
import { expandMicroLzma } from '../../codec/stream/micro-lzma.js'
import { isImageError, unsupported } from '../../errors.js'

/** What a physical cluster holds is no longer (Z_EROFS_PCLUSTER_MAX_DSIZE). */
export const longestPlain = 12 * 1048576

/** What is to come of a physical cluster. */
interface Wanted {
  readonly length: number
  /** It may hold more. */
  readonly isPartial: boolean
  /** Of the file. */
  readonly id: string
  readonly wrong: (why: string) => Error
}

type Unpack = (stored: Uint8Array, wanted: Wanted) => Uint8Array

/** By Z_EROFS_COMPRESSION_*. */
const algorithms: readonly Unpack[] = [unpackLz4, unpackLzma, unpackUnit('deflate'), unpackUnit('zstd')]

/**
 * The beginning of what a physical cluster holds, `length` bytes of it.
 * @throws ImageError unsupported E_FS_FEATURE; corrupt of `wrong`.
 */
export function unpack(stored: Uint8Array, algorithm: number, wanted: Wanted): Uint8Array {
  const known = algorithms[algorithm]
  if (known !== undefined) return known(stored, wanted)
  throw unsupported(
    'E_FS_FEATURE',
    `${wanted.id} of the EROFS filesystem is compressed with algorithm ${algorithm}, which is not known`,
  )
}

function unpackLz4(stored: Uint8Array, { length, isPartial, wrong }: Wanted): Uint8Array {
  const plain = new Uint8Array(length)
  if (expandLz4(stored, plain, 0, length, 0, isPartial) !== length) throw wrong('its LZ4 data is damaged')
  return plain
}

function unpackLzma(stored: Uint8Array, { length, isPartial, wrong }: Wanted): Uint8Array {
  const plain = new Uint8Array(length)
  decoded(() => expandMicroLzma(stored, plain, isPartial), wrong)
  return plain
}

function unpackUnit(codec: 'deflate' | 'zstd'): Unpack {
  return (stored, { length, isPartial, wrong }) => {
    const plain = new Uint8Array(isPartial ? longestPlain : length)
    const found = decoded(() => shortUnits[codec](stored, plain), wrong)
    if (found < length) throw wrong(`it holds ${found} of ${length} bytes`)
    return plain.subarray(0, length)
  }
}

function decoded<Value>(decode: () => Value, wrong: (why: string) => Error): Value {
  try {
    return decode()
  } catch (error) {
    if (!isImageError(error) || error.code !== 'E_COMPRESSED') throw error
    throw wrong(error.message)
  }
}
