import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { progressFlag } from '../../cli/flags.js'

export default class PluginsInstall extends BaseCommand {
  static readonly listsCommands = true
  static override summary = 'Install a plug-in.'
  static override description =
    'Installs an npm package with npm into the data folder of vdisk: from the registry, a folder, an archive or git. ' +
    'A plug-in runs with all rights of the user who runs vdisk: install only what you trust.'
  static override examples = [
    { description: 'From a folder, a copy of it', command: '<%= config.bin %> <%= command.id %> ./my-plugin' },
    { description: 'From the registry', command: '<%= config.bin %> <%= command.id %> vdisk-plugin-mine@1.2' },
  ]
  static override args = {
    package: string({ required: true, description: 'a name, NAME@VERSION, a folder, an archive, an address of git' }),
  }
  static override flags = { ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsInstall)
    const { installPlugin } = await import('../../operations/plugins/change.js')
    const report = { onProgress: this.onProgress(flags.progress) }
    await this.show({
      schema: 'vdisk.plugins-change',
      result: { changes: [await installPlugin(this.config.dataDir, args.package, report)] },
      view: () => import('../../cli/view/plugins-change.js'),
    })
  }
}
