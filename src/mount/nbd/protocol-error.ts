import { corrupt, type ImageError } from '../../errors.js'

/** A server that does not keep to the protocol. */
export function protocolError(where: string, what: string): ImageError {
  return corrupt('E_NBD_PROTOCOL', `${where}: the server breaks the protocol: ${what}`)
}
