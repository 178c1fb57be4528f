import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'

export default class Platforms extends BaseCommand {
  static override summary = 'Show the clouds and hypervisors that --for knows.'
  static override description =
    'Lists what each platform takes: format, size, firmware. With NAME, everything about one: options, limits, ' +
    'drivers that a guest needs, rules, and what to do with the image. Rules that are not confirmed are marked, and ' +
    'never refuse anything.'
  static override examples = [
    { description: 'All platforms', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'What Azure takes', command: '<%= config.bin %> <%= command.id %> azure-gen2' },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> gce --json' },
  ]
  static override args = { name: string({ description: 'show everything about this platform' }) }

  async run(): Promise<void> {
    const { args } = await this.parse(Platforms)
    const { listPlatforms } = await import('../operations/inspect/platforms.js')
    await this.show({
      schema: 'vdisk.platforms',
      result: { platforms: listPlatforms(args.name) },
      view: () => import('../cli/view/platforms.js'),
    })
  }
}
