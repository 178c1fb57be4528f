import fs from 'node:fs'
import net, { type AddressInfo, type Socket } from 'node:net'

/**
 * A line with a delay, as a program of its own: what comes to its port goes on to another, so many milliseconds later
 * there and back together. Kernels without netem have nothing else. As on a real line a connection has no more on its
 * way than the sender's kernel keeps for it until it is acknowledged.
 *
 * Started with the port to go on to and the milliseconds; prints its own port.
 */
const [port, milliseconds] = process.argv.slice(2).map(Number)
if (port === undefined || milliseconds === undefined) throw new Error('usage: delayed PORT MILLISECONDS')
const oneWay = milliseconds / 2
const window = sendBuffer()

/** The most that Linux keeps of what is sent and not acknowledged, in bytes. */
function sendBuffer(): number {
  const file = '/proc/sys/net/ipv4/tcp_wmem'
  const most = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8').trim().split(/\s+/).at(-1)) : NaN
  return Number.isSafeInteger(most) ? most : 4 * 1024 * 1024
}

function carry(from: Socket, to: Socket): void {
  let onItsWay = 0
  const later = (work: () => void): void => void setTimeout(work, oneWay)
  from.on('data', (bytes) => {
    onItsWay += bytes.length
    if (onItsWay >= window) from.pause()
    later(() => {
      const arrived = (): void => {
        // It is acknowledged one way later.
        later(() => {
          onItsWay -= bytes.length
          if (onItsWay < window) from.resume()
        })
      }
      to.write(bytes, arrived)
    })
  })
  from.on('end', () => later(() => to.end()))
  from.on('error', () => to.destroy())
  from.on('close', () => later(() => to.destroy()))
}

const server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
  // Connecting takes as long as a question and its answer.
  setTimeout(() => {
    const there = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    carry(client, there)
    carry(there, client)
    client.resume()
  }, milliseconds)
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
