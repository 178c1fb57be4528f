import { corrupt, type ImageError } from '../../errors.js'

/** A server that does not keep to the protocol, or went away. */
export function protocolError(where: string, what: string, cause?: unknown): ImageError {
  return corrupt('E_NBD_PROTOCOL', `${where}: the connection failed: ${what}`, { cause })
}
