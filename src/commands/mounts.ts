import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { exitCodes } from '../errors.js'

export default class Mounts extends BaseCommand {
  static override summary = 'List what "mount" has mounted.'
  static override description =
    'Lists the images that you mounted or showed and what serves them. With --clean it removes what is ' +
    'left where a server was killed, and touches nothing else.'
  static override examples = [
    { description: 'What is mounted?', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'Clean up after a crash', command: '<%= config.bin %> <%= command.id %> --clean' },
  ]
  static override usage = '<%= command.id %> [FLAGS]'
  static override flags = {
    clean: boolean({ summary: 'remove mounts, loop devices and folders whose server is gone' }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Mounts)
    const { cleanMounts, mounts } = await import('../operations/mount/mounts.js')
    const cleaned = flags.clean ? await cleanMounts({ signal: this.signal }) : []
    if (cleaned.some(({ problems }) => problems.length > 0)) this.exitWith(exitCodes.target)
    await this.show({
      schema: 'vdisk.mounts',
      result: { sessions: mounts(), cleaned },
      view: () => import('../cli/view/mounts.js'),
    })
  }
}
