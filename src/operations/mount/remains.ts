import { backingFile } from '../../mount/loop.js'
import { currentMounts } from './mount-table.js'
import type { AttachedDevice, MountedFilesystem, MountSession } from './session.js'
import { isAlive } from './state.js'

type Mounts = ReturnType<typeof currentMounts>

/** What of a session is still there. */
export interface Remains {
  /** Whether its server runs. */
  readonly alive: boolean
  readonly mounts: readonly MountedFilesystem[]
  readonly attached: readonly AttachedDevice[]
  /** Whether the folder that shows the disk can be seen. */
  readonly shown: boolean
}

/** Looks at the system's mounts and loop devices; touches nothing that is mounted, which may not answer any more. */
export function remainsOf(session: MountSession, mounts: Mounts = currentMounts()): Remains {
  return {
    alive: isAlive(session),
    mounts: session.mounts.filter(({ point, device }) =>
      mounts.some((mount) => mount.point === point && mount.deviceNumber === device),
    ),
    attached: session.attached.filter(({ loop }) => backingFile(loop.device) === loop.backing),
    shown: mounts.some((mount) => mount.point === session.folder),
  }
}

/** Whether nothing is left of it but its state file. */
export function isOver({ alive, mounts, attached, shown }: Remains): boolean {
  return !alive && !shown && mounts.length === 0 && attached.length === 0
}
