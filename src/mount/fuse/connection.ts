import fs from '../../sys/host-fs.js'
import { command } from '../../sys/commands.js'
import { currentUser } from '../../sys/self.js'

const folder = '/sys/fs/fuse/connections'

/**
 * Makes the kernel end a FUSE connection: processes that wait for it get an error. The last resort; what was not
 * written is lost.
 */
export async function abortConnection(connection: number): Promise<boolean> {
  const path = `${folder}/${connection}/abort`
  if (!fs.existsSync(path) && currentUser().isRoot) await command('mount', ['-t', 'fusectl', 'fusectl', folder])
  try {
    fs.writeFileSync(path, '1')
    return true
  } catch {
    // Ended meanwhile, or the control filesystem is not to be had.
    return false
  }
}
