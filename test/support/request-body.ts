import type { IncomingMessage } from 'node:http'

/** The whole body of a request to a test's server; undefined where the client goes away before its end. */
export async function requestBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = []
  try {
    for await (const bytes of request) parts.push(bytes as Buffer)
  } catch {
    return undefined
  }
  return Buffer.concat(parts)
}
