import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { progressFlag } from '../../cli/flags.js'

export default class PluginsUpdate extends BaseCommand {
  static readonly listsCommands = true
  static override summary = 'Bring plug-ins up to date.'
  static override description =
    'Installs the newest version of one plug-in, or of all, with npm. Those from a folder, an archive or git are ' +
    'installed again from there; linked ones are always as their folder is.'
  static override examples = [
    { description: 'All of them', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'One', command: '<%= config.bin %> <%= command.id %> vdisk-plugin-mine' },
  ]
  static override args = { name: string({ description: 'as "vdisk plugins" lists it' }) }
  static override flags = { ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsUpdate)
    const { updatePlugins } = await import('../../operations/plugins/change.js')
    const report = { onProgress: this.onProgress(flags.progress) }
    await this.show({
      schema: 'vdisk.plugins-change',
      result: { changes: await updatePlugins(this.config.dataDir, args.name, report) },
      view: () => import('../../cli/view/plugins-change.js'),
    })
  }
}
