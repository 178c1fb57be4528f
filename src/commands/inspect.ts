import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues } from '../cli/flags.js'
import { defined } from '../operations/defined.js'

export default class Inspect extends BaseCommand {
  static override summary = 'Show what is on a disk: partitions, filesystems, and what is wrong with them.'
  static override description = `Reads the partition table of the disk in IMAGE (GPT, MBR with logical partitions, Apple partition map, BSD label) and looks at what each partition holds. Nothing is mounted, and nothing is written.

The disk is drawn to scale; ranges that belong to no partition are listed; damage is told, with the command that mends it. The exit code is 0 whatever is found: the answer is in the output.`
  static override examples = [
    { description: 'What is on this disk?', command: '<%= config.bin %> <%= command.id %> server.vhdx' },
    { description: 'What is in its second partition?', command: '<%= config.bin %> <%= command.id %> server.vhdx@2' },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> server.qcow2 --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image to look into' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = { ...openFlags }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Inspect)
    const [{ inspect }, registry] = await Promise.all([import('../operations/inspect.js'), this.registry()])
    const result = await inspect(args.image, defined({ registry, ...openValues(flags) }))
    if (flags.json) {
      this.printJson({ schema: 'vdisk.inspect', schemaVersion: 1, ...result })
      return
    }
    const { inspectText } = await import('../cli/inspect-text.js')
    this.print(await inspectText(result, process.stdout))
  }
}
