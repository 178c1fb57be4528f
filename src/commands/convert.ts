import { string } from '@oclif/core/args'
import { option, string as bitmap } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, pacingFlags, progressFlag, usedOnlyFlags, usedOnlyValues } from '../cli/flags.js'
import { copyFlags, createFlags, machineFlags, machineValues, platformFlag, targetValues } from '../cli/format-flags.js'
import { standardInput, standardOutput } from '../cli/streams.js'
import { paragraphs } from '../cli/paragraphs.js'
import { usage } from '../errors.js'

export default class Convert extends BaseCommand {
  static override summary = 'Convert an image into another format.'
  static override description = paragraphs(`
    Reads the disk image SOURCE and writes the same disk as a new image TARGET. The source is only read. The target
    appears under its name when it is complete and flushed; if anything fails or is interrupted, nothing is left
    behind and an existing target stays as it was.

    The format of the source is found from its content, that of the target from its extension. An image with a
    parent is read through its whole chain.

    SOURCE and TARGET may be exports of NBD servers (nbd://host/name, nbd+unix:///name?socket=FILE). An export as
    the target is overwritten with the bytes of the disk from its start on, which needs --force if it may have
    content. Addresses of web servers are sources. Files on other computers (ssh://host/path), registries of containers
    (oci://host/name:tag), page blobs of Azure and what plug-ins add (s3://bucket/key) are targets too, of formats that
    are one file.

    With --for the image is what a cloud or hypervisor takes: its format and options, a size that it accepts, the
    second GPT at the new end, packed where the platform wants an archive. What contradicts --for is refused, and the
    next steps are printed.

    A target that is named .ova becomes an appliance for VMware and VirtualBox: a description of a machine, a
    manifest, and the disk as stream-optimised VMDK.

    With --resume a run that was killed, or ended by a full disk or a power cut, leaves the unfinished target and a
    journal beside it. The same command goes on from there, and the result is byte for byte that of one run.
  `)
  static override examples = [
    {
      description: 'Convert a Hyper-V disk to QCOW2',
      command: '<%= config.bin %> <%= command.id %> server.vhdx server.qcow2',
    },
    {
      description: 'Make a disk for Azure, and prove that it holds the same content',
      command: '<%= config.bin %> <%= command.id %> disk.qcow2 disk.vhd --for azure-gen2 --verify',
    },
    {
      description: 'Compress with zstd',
      command: '<%= config.bin %> <%= command.id %> disk.raw disk.qcow2 --compress zstd:3',
    },
    {
      description: 'Store only what differs from another image',
      command: '<%= config.bin %> <%= command.id %> today.raw today.vhdx --parent base.vhdx',
    },
    {
      description: 'Leave out deleted files and free space',
      command: '<%= config.bin %> <%= command.id %> server.vhdx server.qcow2 --used-only',
    },
    {
      description: 'Read from a pipe',
      command: 'zstd -dc disk.raw.zst | <%= config.bin %> <%= command.id %> - disk.qcow2 --from raw',
    },
    {
      description: 'Read from an NBD server, and prove that all of it came',
      command: '<%= config.bin %> <%= command.id %> nbd://backup.example/server server.vhdx --verify',
    },
    {
      description: 'Make an appliance of two disks',
      command:
        '<%= config.bin %> <%= command.id %> server.vhdx server.ova --add-disk data.qcow2 --cpus 2 --memory 4G ' +
        '--os debian12',
    },
    {
      description: 'A conversion of hours that can be resumed after a cut, at 100 MiB a second',
      command: '<%= config.bin %> <%= command.id %> server.vmdk server.qcow2 --resume --rate 100M',
    },
    { description: 'Write to a pipe', command: '<%= config.bin %> <%= command.id %> disk.vhdx - --to raw | sha256sum' },
  ]
  static override args = {
    source: string({ required: true, description: 'the image to read, or an address; - for standard input' }),
    target: string({ required: true, description: 'the image to make, or an address; - for standard output' }),
  }
  static override usage = '<%= command.id %> SOURCE TARGET [FLAGS]'
  static override flags = {
    ...openFlags,
    ...createFlags,
    ...platformFlag,
    ...copyFlags,
    ...pacingFlags,
    'if-exists': option({
      options: ['same'] as const,
      summary:
        'same: a target that its record (TARGET.made.json) says was made of this source with these options is done; ' +
        'such a record is written',
      exclusive: ['force'],
    })(),
    ...usedOnlyFlags,
    changed: bitmap({
      helpValue: 'BITMAP',
      dependsOn: ['parent'],
      exclusive: ['used-only', 'snapshot', 'resume'],
      summary:
        'read only what this dirty bitmap of the source (qcow2, or an export of QEMU) lists; the rest is as in ' +
        '--parent',
    }),
    ...machineFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Convert)
    const toStream = args.target === '-'
    if (toStream && flags.json) throw usage('E_STREAM', 'standard output cannot take both the image and --json')
    const { convert } = await import('../operations/transfer/convert.js')
    const source = args.source === '-' ? standardInput() : args.source
    const result = await convert(source, toStream ? standardOutput(process.stdout) : args.target, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...targetValues(flags),
      ...machineValues(flags),
      usedOnly: usedOnlyValues(flags),
      changed: flags.changed,
      scratchFolder: flags.tmp,
      toolVersion: this.config.version,
      forgetLater: this.forgetLater,
      ifExists: flags['if-exists'],
    })
    const view = () => import('../cli/view/convert.js')
    await this.show({ schema: 'vdisk.convert', result, view, onStandardError: toStream })
  }
}
