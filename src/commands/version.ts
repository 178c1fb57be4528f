import os from 'node:os'
import { BaseCommand } from '../cli/base-command.js'

export default class Version extends BaseCommand {
  /** Read by src/cli/start.ts: only oclif knows the folders. */
  static readonly listsCommands = true
  static override summary = 'Show the version of vdisk, and what it runs on.'
  static override description =
    'Prints the line that --version prints; with --verbose, what a report of a fault should say besides. ' +
    'No other computer is asked.'
  static override examples = [
    { description: 'Which version is this?', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'What to put into a report', command: '<%= config.bin %> <%= command.id %> --verbose' },
  ]

  async run(): Promise<void> {
    await this.parse(Version)
    const { installedPlugins } = await import('../operations/plugins/installed.js')
    const { bin, version, root, dataDir, userAgent } = this.config
    const plugins = installedPlugins(dataDir).map(({ name, version: of }) => ({ name, version: of }))
    await this.show({
      schema: 'vdisk.version',
      result: {
        line: userAgent,
        bin,
        version,
        node: process.version,
        system: `${os.type()} ${os.release()} ${os.arch()}`,
        folder: root,
        dataFolder: dataDir,
        plugins,
      },
      view: () => import('../cli/view/version.js'),
    })
  }
}
