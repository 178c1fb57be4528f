import { createServer, type AddressInfo, type Server } from 'node:net'
import type { TestContext } from 'node:test'

/** A server; one of HTTP is closed together with its connections. */
type Listener = Server & { closeAllConnections?(): void }

/** Has a server listen at a free port of the loopback interface until the test is over. @returns the port. */
export async function listening(t: TestContext, server: Listener): Promise<number> {
  const port = await listen(server)
  t.after(() => {
    server.closeAllConnections?.()
    server.close()
  })
  return port
}

/** A port of the loopback interface that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
