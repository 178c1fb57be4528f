import fs from '../sys/host-fs.js'
import { toWire } from '../operations/mount/wire.js'
import type { ServeAnswer, ServeRequest } from '../operations/mount/messages.js'
import { Serving } from '../operations/mount/serving.js'

/**
 * The program that `mount` starts and leaves behind: one process an image. It gets its task in a message, answers
 * once, and runs until
 * the image is unmounted. Its standard output is its log.
 */
const setUp = new AbortController()
let answered = false

function log(line: string): void {
  fs.writeSync(1, `${new Date().toISOString()} ${line}\n`)
}

function send(message: ServeAnswer): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
}

function answer(message: ServeAnswer): Promise<void> {
  answered = true
  // The command may have ended.
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve()
    else process.send(message, undefined, undefined, () => resolve())
  })
}

async function run(request: ServeRequest): Promise<void> {
  const descriptor = process.env['VDISK_FUSE_DESCRIPTOR']
  const serving = new Serving(request, {
    signal: setUp.signal,
    log,
    onProgress: (progress) => send({ kind: 'progress', progress }),
    descriptor: descriptor === undefined ? undefined : Number(descriptor),
  })
  try {
    const { session, notes } = await serving.start()
    await answer({ kind: 'ready', session, notes })
  } catch (error) {
    const wire = toWire(error)
    log(`${wire.code} ${wire.message}`)
    await answer({ kind: 'failed', error: wire })
    leave()
    return
  }
  if (process.connected) process.disconnect()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void serving.stop().then((why) => (why === undefined ? undefined : log(`stays: ${why}`))))
  const failure = await serving.end()
  if (failure !== undefined) log(`${failure.code} ${failure.message}`)
  leave()
}

/** Ends the process even where a thread still waits for the kernel, for which process.exit() would wait for ever. */
function leave(): void {
  if (process.connected) process.disconnect()
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 5000).unref()
}

process.chdir('/')
process.on('disconnect', () => {
  if (!answered) setUp.abort()
})
process.once('message', (request) => void run(request as ServeRequest))
