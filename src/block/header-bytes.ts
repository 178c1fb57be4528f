import type { ByteStore } from './types.js'
import { corrupt, type ImageError } from '../errors.js'

/**
 * The first `length` bytes of a file. @param title what messages call the header: `a QED header`.
 * @throws ImageError corrupt E_TRUNCATED.
 */
export function headerBytes(store: ByteStore, length: number, title: string): Uint8Array {
  const { name, size } = store
  if (size < length)
    throw corrupt('E_TRUNCATED', `${name}: ${title} has ${length} bytes, the file only ${size}`, {
      details: { position: 0, size },
    })
  const bytes = new Uint8Array(length)
  store.read(0, bytes)
  return bytes
}

/** Makes the errors of fields of a header: corrupt E_HEADER, with the field's position in the header, in bytes. */
export function badField(name: string): (message: string, position: number) => ImageError {
  return (message, position) =>
    corrupt('E_HEADER', `${name}: ${message} (header byte ${position})`, { details: { position } })
}
