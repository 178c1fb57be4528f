import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { progressFlag } from '../../cli/flags.js'

export default class PluginsUninstall extends BaseCommand {
  static readonly listsCommands = true
  static override summary = 'Take a plug-in away.'
  static override description = 'Removes what was installed. Of a linked plug-in the folder stays as it is.'
  static override examples = [
    { description: 'By its name', command: '<%= config.bin %> <%= command.id %> vdisk-plugin-mine' },
  ]
  static override args = { name: string({ required: true, description: 'as "vdisk plugins" lists it' }) }
  static override flags = { ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsUninstall)
    const { uninstallPlugin } = await import('../../operations/plugins/change.js')
    const report = { onProgress: this.onProgress(flags.progress) }
    await this.show({
      schema: 'vdisk.plugins-change',
      result: { changes: [await uninstallPlugin(this.config.dataDir, args.name, report)] },
      view: () => import('../../cli/view/plugins-change.js'),
    })
  }
}
