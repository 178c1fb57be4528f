import { createHash } from 'node:crypto'
import { inFolder } from '../../sys/host-path.js'
import { stateFolder } from '../../sys/self.js'

/**
 * Where what is known of a target lies that is gone on with, where it cannot lie beside it: a file of the folder for
 * state. @param kind of the target. @param known what the target is known by. @param ending of the file's name.
 */
export function resumeFile(kind: 'device' | 'upload', known: string, ending: string): string {
  const key = createHash('sha256').update(known).digest('hex').slice(0, 24)
  return inFolder(inFolder(stateFolder(), 'resume'), `${kind}-${key}.${ending}`)
}
