import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, tcpPort } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import type { ViewReady } from '../operations/view/view.js'

export default class View extends BaseCommand {
  static override summary = 'Look at images in a browser.'
  static override description = paragraphs(`
    Serves pages about each IMAGE to a browser of this machine: the disk to scale, its partitions, files to browse and
    download, the answers of check and doctor, the chain of parents and the snapshots. Prints the address, and goes on
    until Ctrl-C. The images are only read.

    It listens on the loopback address alone, and answers only below the address that is printed: it holds a random
    word that nobody else knows. The pages fetch nothing from elsewhere.

    With --restore the pages also restore an image, or a partition of one, to a disk or partition of this machine, as
    vdisk restore does: you see what would be done, and nothing is written before you have typed the target's name.
    Targets that a guard refuses are shown with the reason and cannot be chosen.
  `)
  static override examples = [
    { description: 'Look at a disk', command: '<%= config.bin %> <%= command.id %> server.vhdx' },
    { description: 'At two of them', command: '<%= config.bin %> <%= command.id %> server.vhdx backup.qcow2' },
    {
      description: 'Choose the disk to restore to in the browser',
      command: '<%= config.bin %> <%= command.id %> --restore backup.vhdx',
    },
  ]
  static override strict = false
  static override args = {
    image: string({ required: true, description: 'an image, or IMAGE@N; several may be given' }),
  }
  static override usage = '<%= command.id %> IMAGE... [FLAGS]'
  static override flags = {
    ...openFlags,
    restore: boolean({ summary: 'offer to restore images to disks of this machine' }),
    port: tcpPort({ summary: 'the port to listen at; any that is free when left out' }),
  }

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(View)
    const [{ viewImages }, { viewPages }, registry] = await Promise.all([
      import('../operations/view/view.js'),
      import('../cli/view/view-pages.js'),
      this.registry(),
    ])
    await viewImages(argv.map(String), {
      ...openValues(flags),
      registry,
      pages: viewPages,
      restore: flags.restore,
      port: flags.port,
      signal: this.signal,
      onReady: (result: ViewReady) =>
        this.show({ schema: 'vdisk.view', result, view: () => import('../cli/view/view-ready.js') }),
    })
  }
}
