import { stopIfAborted } from '../../errors.js'
import { unmountFuse } from '../../mount/fuse/attach.js'
import { detachLoop } from '../../mount/loop.js'
import { unmountPoint } from './mounter.js'
import { isOver, remainsOf } from './remains.js'
import type { AttachedDevice, MountedFilesystem, MountSession } from './session.js'
import { readSessions, removeState, runtimeFolder } from './state.js'

/** An image that is mounted or shown, as it is now. */
export interface ListedMount extends Omit<MountSession, 'mounts' | 'attached' | 'shown'> {
  /**
   * `dead`: its server is gone, and what is left of it gives errors. `failed`: it ended, and not all changes were
   * written.
   */
  readonly status: 'served' | 'dead' | 'failed'
  readonly mounts: readonly MountedFilesystem[]
  readonly attached: readonly AttachedDevice[]
  readonly shown: boolean
}

/** What `mounts --clean` did about a session. */
export interface CleanedMount {
  readonly image: string
  /** What could not be taken away, and why. */
  readonly problems: readonly string[]
}

/** All that this user has mounted with `mount`. Forgets sessions of which nothing is left. */
export function mounts(): readonly ListedMount[] {
  const folder = runtimeFolder()
  return readSessions(folder).flatMap((session): ListedMount[] => {
    const remains = remainsOf(session)
    if (isOver(remains) && session.failure === undefined) {
      removeState(folder, session.id)
      return []
    }
    const { alive, mounts: mounted, attached, shown } = remains
    return [
      {
        ...session,
        mounts: mounted,
        attached,
        shown,
        status: alive ? 'served' : session.failure === undefined ? 'dead' : 'failed',
      },
    ]
  })
}

/** Takes away what servers left that are gone: mounts, loop devices, folders. What is served is not touched. */
export async function cleanMounts(options: { readonly signal?: AbortSignal } = {}): Promise<readonly CleanedMount[]> {
  const folder = runtimeFolder()
  const cleaned: CleanedMount[] = []
  for (const session of mounts()) {
    if (session.status === 'served') continue
    stopIfAborted(options.signal)
    cleaned.push(await clean(session, folder))
  }
  return cleaned
}

async function clean(session: ListedMount, folder: string): Promise<CleanedMount> {
  const problems: string[] = []
  const note = ({ code, stderr }: { code: number | undefined; stderr: string }): void => {
    if (code !== 0) problems.push(stderr)
  }
  for (const { point } of [...session.mounts].reverse()) note(await unmountPoint(point, false))
  for (const { loop } of session.attached) await detachLoop(loop)
  if (session.shown) note(await unmountFuse(session.folder, true))
  if (problems.length === 0) removeState(folder, session.id)
  return { image: session.image, problems }
}
