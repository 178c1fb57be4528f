import { string } from '@oclif/core/args'
import { fileURLToPath } from 'node:url'
import { BaseCommand } from '../cli/base-command.js'
import { writeFlags } from '../cli/flags.js'
import { formatFlags, targetValues } from '../cli/format-flags.js'

export default class Sample extends BaseCommand {
  static override summary = 'Make a small disk to try things with.'
  static override description =
    'Writes a disk of 40 MiB that comes with vdisk: a GPT, an EFI system partition, and an ext4 filesystem with ' +
    'some files. The tutorials begin with it. The format follows from the name.'
  static override examples = [
    { description: 'As Hyper-V would have it', command: '<%= config.bin %> <%= command.id %> practice.vhdx' },
    { description: 'As QEMU would have it', command: '<%= config.bin %> <%= command.id %> practice.qcow2' },
  ]
  static override args = { target: string({ required: true, description: 'the image to make' }) }
  static override usage = '<%= command.id %> TARGET [FLAGS]'
  static override flags = { ...formatFlags, ...writeFlags }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Sample)
    const { convert } = await import('../operations/transfer/convert.js')
    const disk = fileURLToPath(new URL('../../../samples/practice.qcow2', import.meta.url))
    const result = await convert(disk, args.target, { ...(await this.context()), ...targetValues(flags) })
    await this.show({ schema: 'vdisk.convert', result, view: () => import('../cli/view/convert.js') })
  }
}
