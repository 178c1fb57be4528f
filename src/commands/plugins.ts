import { BaseCommand } from '../cli/base-command.js'

export default class Plugins extends BaseCommand {
  static readonly listsCommands = true
  static override summary = 'List the plug-ins that are installed.'
  static override description =
    'Plug-ins add formats, kinds of address and commands. They are npm packages in the data folder of vdisk. ' +
    'What each adds is shown by "vdisk formats --verbose" and "vdisk --help".'
  static override examples = [
    { description: 'What is installed?', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'For programs', command: '<%= config.bin %> <%= command.id %> --json' },
  ]

  async run(): Promise<void> {
    await this.parse(Plugins)
    const { installedPlugins } = await import('../operations/plugins/installed.js')
    const { dataDir } = this.config
    await this.show({
      schema: 'vdisk.plugins',
      result: { folder: dataDir, plugins: installedPlugins(dataDir) },
      view: () => import('../cli/view/plugins.js'),
    })
  }
}
