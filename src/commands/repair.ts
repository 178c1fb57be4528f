import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { optionValues, progressFlag, repairFlags } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { exitCodes } from '../errors.js'

export default class Repair extends BaseCommand {
  static override summary = 'Repair what can be repaired of a damaged image.'
  static override description = paragraphs(`
    Repairs what the rest of the file proves: a header or footer from its copy, a log that was not written back,
    refcounts from the references to clusters, unused space. The content of the disk is never changed, and positions
    of blocks are never guessed. Then the result is checked.

    The repair is made in a copy (--output FILE), which leaves the image as it is, or in the image itself
    (--in-place). A repair in place cannot be undone: each step leaves the image no worse, but if more is damaged
    than was found, or the machine fails meanwhile, this may be the only copy. No other program may use the image.
    --dry-run shows what would be done.

    The exit code is 0 when everything was repaired or nothing had to be, 1 when something is left, 4 when the image
    cannot be understood, 5 when its format cannot be repaired.

    This is about the image file. \`vdisk partition fix\` repairs the partition table of the disk in it, and
    \`vdisk doctor --mend\` what keeps the system on the disk from starting.
  `)
  static override examples = [
    { description: 'What would be done?', command: '<%= config.bin %> <%= command.id %> server.qcow2 --dry-run' },
    {
      description: 'Make a repaired copy',
      command: '<%= config.bin %> <%= command.id %> server.qcow2 --output server-repaired.qcow2',
    },
    { description: 'Repair the image itself', command: '<%= config.bin %> <%= command.id %> server.vhdx --in-place' },
  ]
  static override args = { image: string({ required: true, description: 'the image to repair' }) }
  static override usage = '<%= command.id %> IMAGE --output FILE|--in-place|--dry-run [FLAGS]'
  static override flags = { ...repairFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Repair)
    const { repair } = await import('../operations/check/repair.js')
    const result = await repair(args.image, {
      ...(await this.context(flags)),
      from: flags.from,
      fromOptions: optionValues(flags['from-option']),
      output: flags.output,
      inPlace: flags['in-place'],
      force: flags.force,
      allowInUse: flags['allow-in-use'],
      allowOtherChildren: flags['allow-other-children'],
      dryRun: flags['dry-run'],
      limit: flags.limit ?? (flags.json ? undefined : 20),
    })
    await this.show({ schema: 'vdisk.repair', result, view: () => import('../cli/view/repair.js') })
    const { error, leak, warning } = result.remaining.counts
    if (error + leak + warning > 0) this.exitWith(exitCodes.negative)
  }
}
