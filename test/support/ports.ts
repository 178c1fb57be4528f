import { createServer, type AddressInfo, type Server } from 'node:net'
import type { TestContext } from 'node:test'

/** A server; one of HTTP is closed together with its connections. */
type Listener = Server & { closeAllConnections?(): void }

/** What ends a server: a test, or what else has an end. */
export type Ending = Pick<TestContext, 'after'>

const loopback = '127.0.0.1'

/** Has a server listen at a free port of the loopback interface until the test is over. @returns the port. */
export async function listening(t: Ending, server: Listener): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, loopback, resolve))
  t.after(() => {
    server.closeAllConnections?.()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** Below the ports that the system gives to who asks for any: nobody is given one between its choice and its use. */
const [first, count] = [15_000, 10_000]
/** An address at which a port is held for this process, beside the one that servers listen at. */
const beside = '127.0.0.2'

/**
 * A port of the loopback interface that nobody listens on, and that no other test is given as long as this process
 * runs: a server may begin there, end, and begin again.
 */
export async function freePort(): Promise<number> {
  const start = process.pid * 7
  for (let index = 0; index < count; index++) {
    const port = first + ((start + index) % count)
    const held = await listenAt(port, beside)
    if (held === undefined) continue
    held.unref()
    const tried = await listenAt(port, loopback)
    if (tried !== undefined) {
      await new Promise((resolve) => tried.close(resolve))
      return port
    }
    await new Promise((resolve) => held.close(resolve))
  }
  throw new Error('there is no port')
}

/** Undefined: somebody listens there. */
async function listenAt(port: number, host: string): Promise<Server | undefined> {
  const server = createServer()
  return await new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    server.listen(port, host, () => resolve(server))
  })
}
