import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../../cli/flags.js'
import { newImageFlags, targetValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { exitCodes } from '../../errors.js'

export default class PartitionFix extends BaseCommand {
  static override summary = 'Repair the partition table of a disk.'
  static override description = paragraphs(`
    Repairs what \`inspect\` finds wrong with a partition table, as far as that needs no guess: a GPT is rebuilt
    from its other copy, the backup is moved to the end of a disk that was enlarged, checksums and the protective
    MBR are corrected. Partitions are not moved, and their content is not changed.

    With --output the repaired disk is a new image; with --in-place IMAGE itself is changed: the damaged copy of the
    table first, then the other, each on the medium before the next, so that one copy is always intact. --dry-run
    shows what would be done. If there is nothing to do, nothing is written.

    --new-ids gives the disk and its partitions new ids, for a clone that is used beside its original, and lists
    what may refer to the old ones. The exit code is 1 when errors are left that it cannot repair.

    This is about the partition table. \`vdisk repair\` repairs the image file around the disk, and
    \`vdisk doctor --mend\` what keeps the system on the disk from starting.
  `)
  static override examples = [
    { description: 'What would be done?', command: '<%= config.bin %> <%= command.id %> server.vhdx --dry-run' },
    { description: 'Mend the disk itself', command: '<%= config.bin %> <%= command.id %> server.vhdx --in-place' },
    {
      description: 'A clone with ids of its own',
      command: '<%= config.bin %> <%= command.id %> server.vhdx --new-ids --output clone.vhdx',
    },
  ]
  static override args = { image: string({ required: true, description: 'the image whose table is mended' }) }
  static override usage = '<%= command.id %> IMAGE --output FILE|--in-place|--dry-run [FLAGS]'
  static override flags = {
    output: stringFlag({ helpValue: 'FILE', exclusive: ['in-place'], summary: 'the new image, whose table is mended' }),
    'in-place': boolean({ summary: 'change IMAGE itself' }),
    'new-ids': boolean({ summary: 'give the disk and its partitions new ids' }),
    ...openFlags,
    ...newImageFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionFix)
    const { fixTable } = await import('../../operations/partition/fix.js')
    const result = await fixTable(args.image, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...targetValues(flags),
      output: flags.output,
      inPlace: flags['in-place'],
      newIds: flags['new-ids'],
    })
    await this.show({ schema: 'vdisk.partition.fix', result, view: () => import('../../cli/view/partition-fix.js') })
    if (result.left.some(({ severity }) => severity === 'error')) this.exitWith(exitCodes.negative)
  }
}
