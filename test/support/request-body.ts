import type { IncomingMessage } from 'node:http'

/**
 * The whole body of a request to a test's server; undefined where the client goes away before its end.
 * @param onCut gets what has come of it then.
 */
export async function requestBody(
  request: IncomingMessage,
  onCut?: (bytes: Buffer) => void,
): Promise<Buffer | undefined> {
  const parts: Buffer[] = []
  try {
    for await (const bytes of request) parts.push(bytes as Buffer)
  } catch {
    onCut?.(Buffer.concat(parts))
    return undefined
  }
  return Buffer.concat(parts)
}
