import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, progressFlag, usedOnlyFlags, usedOnlyValues } from '../cli/flags.js'
import { copyFlags, createFlags, formatValues } from '../cli/format-flags.js'
import { standardOutput } from '../cli/streams.js'
import { paragraphs } from '../cli/paragraphs.js'
import { usage } from '../errors.js'
import type { ConvertResult } from '../operations/transfer/convert.js'

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
    content.
  `)
  static override examples = [
    {
      description: 'Convert a Hyper-V disk to QCOW2',
      command: '<%= config.bin %> <%= command.id %> server.vhdx server.qcow2',
    },
    {
      description: 'Make a fixed VHD for Azure, and prove that it holds the same disk',
      command: '<%= config.bin %> <%= command.id %> disk.qcow2 disk.vhd -o azure=true --verify',
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
    { description: 'Write to a pipe', command: '<%= config.bin %> <%= command.id %> disk.vhdx - --to raw | sha256sum' },
  ]
  static override args = {
    source: string({ required: true, description: 'the image to read, or an NBD URI; - for standard input' }),
    target: string({ required: true, description: 'the image to make, or an NBD URI; - for standard output' }),
  }
  static override usage = '<%= command.id %> SOURCE TARGET [FLAGS]'
  static override flags = { ...openFlags, ...createFlags, ...copyFlags, ...usedOnlyFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Convert)
    const toStream = args.target === '-'
    if (toStream && flags.json) throw usage('E_STREAM', 'standard output cannot take both the image and --json')
    const [{ convert }, registry] = await Promise.all([import('../operations/transfer/convert.js'), this.registry()])
    const progress = this.progress(flags.progress)
    const options = {
      registry,
      ...openValues(flags),
      ...formatValues(flags),
      parent: flags.parent,
      size: flags.size,
      force: flags.force,
      flush: flags.flush,
      verify: flags.verify,
      dryRun: flags['dry-run'],
      threads: flags.threads,
      sparse: flags.sparse,
      usedOnly: usedOnlyValues(flags),
      uuid: flags.uuid,
      time: this.buildTime,
      scratchFolder: flags.tmp,
      signal: this.signal,
      onProgress: progress.update,
    }
    const source = args.source === '-' ? { input: process.stdin, name: 'standard input' } : args.source
    const result = await convert(source, toStream ? standardOutput(process.stdout) : args.target, options)
    if (flags.json) this.printJson({ schema: 'vdisk.convert', schemaVersion: 1, ...result })
    else await this.#show(result, toStream)
  }

  async #show(result: ConvertResult, toStream: boolean): Promise<void> {
    const { fileSizeText, renderer, shortSize, sizeText, sourceText } = await import('../cli/render.js')
    // Standard output may be the image.
    const out = toStream ? process.stderr : process.stdout
    const say = (text: string): void => (toStream ? this.tell(text) : this.print(text))
    const render = await renderer(out)
    const { source, target } = result
    await this.tellNotes(result.notes)
    say(render.heading(result.dryRun ? 'Would convert' : 'Converted'))
    say(
      render.facts([
        ['source', sourceText(source)],
        ['target', `${target.path} (${target.format})`],
        ['disk', sizeText(target.capacity)],
        ...(target.size === undefined ? [] : [['target file', fileSizeText(target.size, target.allocated)] as const]),
        ...(result.volumes === undefined
          ? []
          : [
              [
                'not in use',
                `${shortSize(result.volumes.reduce((sum, { length, read }) => sum + length - read, 0))}, read as zero`,
              ] as const,
            ]),
        ...(result.dryRun ? [] : [['time', `${result.seconds.toFixed(1)} s`] as const]),
        ...(result.verified
          ? [['verified', 'every byte of the disk, read back from the target, equals the source'] as const]
          : []),
      ]),
    )
    if (result.dryRun) say('Nothing was written (--dry-run).')
  }
}
