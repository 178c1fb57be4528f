import { spawn, type ChildProcess } from 'node:child_process'
import fs from '../../sys/host-fs.js'
import { fileURLToPath } from 'node:url'
import { aborted, systemReason, targetError } from '../../errors.js'
import type { LaterOptions } from '../open/opening.js'
import { canReceiveDescriptors, noFuse, trampoline, trampolineFailed, userOptions } from '../../mount/fuse/attach.js'
import { currentUser, nodeProgram } from '../../sys/self.js'
import type { ServeAnswer, ServeRequest } from './messages.js'
import { logPath, removeState } from './state.js'
import { fromWire } from './wire.js'
import { inFolder } from '../../sys/host-path.js'
import { started } from '../../sys/commands.js'
import { textOfFile } from '../../sys/readable.js'

type Ready = Extract<ServeAnswer, { kind: 'ready' }>

/** How much of a log is shown when a server ends without a word, in characters. */
const logShown = 2000

/**
 * Starts the process that serves an image, and waits until everything is mounted. It stays when this process ends.
 * @throws ImageError what the server says; aborted E_ABORTED, everything is then undone; target E_SERVER when it ends
 * without a word.
 */
export function startServer(request: ServeRequest, later: LaterOptions): Promise<Ready> {
  const { runtime, id, image, mode, others } = request
  const log = fs.openSync(logPath(runtime, id), 'a', 0o600)
  const server = [nodeProgram(), fileURLToPath(new URL('../../servers/mount-server.js', import.meta.url))]
  if (!currentUser().isRoot && !canReceiveDescriptors()) {
    const point = inFolder(runtime, id)
    fs.mkdirSync(point, { mode: 0o700 })
    server.unshift(
      'python3',
      '-c',
      trampoline,
      point,
      userOptions({ point, name: image, readOnly: mode === 'read-only', others }),
    )
  }
  const [program = nodeProgram(), ...parameters] = server
  let child: ChildProcess
  try {
    child = started(spawn(program, parameters, { detached: true, cwd: '/', stdio: ['ignore', log, log, 'ipc'] }))
  } catch (error) {
    removeState(runtime, id)
    throw error
  } finally {
    fs.closeSync(log)
  }
  return answerOf(child, request, later).finally(() => {
    if (child.connected) child.disconnect()
    child.unref()
  })
}

function answerOf(child: ChildProcess, request: ServeRequest, { signal, onProgress }: LaterOptions): Promise<Ready> {
  return new Promise((resolve, reject) => {
    let interrupted = false
    const interrupt = (): void => {
      interrupted = true
      // The server undoes what it did and ends; that is waited for.
      if (child.connected) child.disconnect()
    }
    signal?.addEventListener('abort', interrupt, { once: true })
    child.on('message', (answer: ServeAnswer) => {
      if (answer.kind === 'progress') {
        onProgress?.(answer.progress)
        return
      }
      signal?.removeEventListener('abort', interrupt)
      // From now on it is on its own: how it ends is no concern of ours.
      child.removeAllListeners('exit')
      if (answer.kind === 'ready') resolve(answer)
      else reject(fromWire(answer.error))
    })
    child.on('error', (cause) =>
      reject(targetError('E_SERVER', `the server cannot be started: ${systemReason(cause)}`, { cause })),
    )
    child.on('exit', (code, ended) => {
      if (interrupted) {
        removeState(request.runtime, request.id)
        reject(aborted('interrupted; nothing stays mounted'))
        return
      }
      const said = lastWords(logPath(request.runtime, request.id))
      removeState(request.runtime, request.id)
      reject(
        code === trampolineFailed
          ? noFuse(said)
          : targetError(
              'E_SERVER',
              `the server ended with ${code ?? ended ?? 'nothing'} before anything was ` +
                `mounted${said === '' ? '' : `: ${said}`}`,
            ),
      )
    })
    child.send(request, (error) => {
      if (error !== null)
        reject(targetError('E_SERVER', `the server does not listen: ${error.message}`, { cause: error }))
    })
    if (signal?.aborted === true) interrupt()
  })
}

function lastWords(path: string): string {
  // The server removes it when it ends.
  return (textOfFile(path) ?? '').slice(-logShown).trim()
}
