import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { allowOtherChildren, count, openFlags, openValues, progressFlag, tcpEndpoint } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import type { ServeReady } from '../operations/serve/serve.js'

export default class Serve extends BaseCommand {
  static override summary = 'Serve images over NBD.'
  static override description = paragraphs(`
    Makes the disk of each IMAGE (or a partition of it, IMAGE@2) an export of an NBD server, which nbdcopy, qemu,
    the kernel's nbd-client and vdisk itself read and write like a raw disk, whatever its format. Prints the URI of
    each export when it is ready, and ends when the last client has gone, as qemu-nbd does; --persistent goes on
    until Ctrl-C. Then everything is flushed and closed.

    It listens on a socket file that only you can open, or with --tcp on a port, of this machine only unless a host
    is given. The image is not changed, unless --overlay names a file for changes or --write writes them into the
    image itself, which is locked meanwhile.
  `)
  static override examples = [
    {
      description: 'Look at a VHDX with tools that know NBD',
      command:
        '<%= config.bin %> <%= command.id %> server.vhdx --socket /tmp/server.sock & nbdinfo ' +
        'nbd+unix:///?socket=/tmp/server.sock',
    },
    {
      description: 'Let a virtual machine start from a backup, which stays as it is',
      command: '<%= config.bin %> <%= command.id %> backup.vhdx --overlay changes.qcow2',
    },
    {
      description: 'Two images for machines with a certificate of yours',
      command:
        '<%= config.bin %> <%= command.id %> a.vhd b.qcow2 --tcp 0.0.0.0:10809 --tls-cert server.pem ' +
        '--tls-key key.pem --tls-ca ca.pem --persistent',
    },
    {
      description: 'Write into the second partition of an image',
      command: '<%= config.bin %> <%= command.id %> disk.vhdx@2 --write',
    },
  ]
  static override strict = false
  static override args = {
    image: string({ required: true, description: 'an image, or IMAGE@N; several may be given' }),
  }
  static override usage = '<%= command.id %> IMAGE... [FLAGS]'
  static override flags = {
    ...openFlags,
    socket: stringFlag({
      helpValue: 'FILE',
      summary: "the socket file to listen at; one in $XDG_RUNTIME_DIR or the system's temporary folder when left out",
      exclusive: ['tcp'],
    }),
    stdio: boolean({
      summary: 'serve one client over standard input and output, as a program that starts vdisk over SSH wants it',
      exclusive: ['socket', 'tcp', 'persistent', 'tls-cert', 'json'],
    }),
    'percent-encoded': boolean({ hidden: true, summary: 'names of images are percent-encoded' }),
    tcp: tcpEndpoint({ summary: 'listen at this TCP port; of this machine alone, unless a host is named' }),
    name: stringFlag({
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
      summary:
        'name of an export, one for each image in order; without it one image has the empty name, several ' +
        'those of their files',
    }),
    'read-only': boolean({ summary: 'nothing can be changed (the default)', exclusive: ['write', 'overlay'] }),
    overlay: stringFlag({
      helpValue: 'FILE',
      summary: 'changes go into this child of the image, which is made when it does not exist',
      exclusive: ['write'],
    }),
    write: boolean({ char: 'w', summary: 'changes go into the image itself' }),
    'allow-table-loss': boolean({
      summary: 'let clients write to a partition in which a part of the partition table lies',
    }),
    'allow-other-children': allowOtherChildren(),
    persistent: boolean({ char: 't', summary: 'go on when the last client has gone' }),
    'tls-cert': stringFlag({
      helpValue: 'FILE',
      summary: 'certificate of the server (PEM): clients must use TLS',
      dependsOn: ['tls-key'],
    }),
    'tls-key': stringFlag({ helpValue: 'FILE', summary: 'its private key (PEM)', dependsOn: ['tls-cert'] }),
    'tls-ca': stringFlag({
      helpValue: 'FILE',
      summary: 'clients need a certificate of this authority (PEM)',
      dependsOn: ['tls-cert'],
    }),
    threads: count({ summary: 'worker threads for decompression; 0: none' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Serve)
    const [{ defaultSocket, serve }, { view, endText }, { percentDecoded, standardStream }, context] =
      await Promise.all([
        import('../operations/serve/serve.js'),
        import('../cli/view/serve.js'),
        import('../cli/streams.js'),
        this.context(flags),
      ])
    const { 'tls-cert': certificate, 'tls-key': key, 'tls-ca': authority, persistent } = flags
    const images = argv.map(String)
    const result = await serve(flags['percent-encoded'] ? images.map(percentDecoded) : images, {
      ...context,
      stream: flags.stdio ? standardStream() : undefined,
      ...openValues(flags),
      endpoint: flags.tcp ?? { kind: 'unix' as const, path: flags.socket ?? defaultSocket() },
      names: flags.name,
      overlay: flags.overlay,
      write: flags.write,
      allowTableLoss: flags['allow-table-loss'],
      persistent,
      tls: certificate === undefined || key === undefined ? undefined : { certificate, key, authority },
      threads: flags.threads,
      onReady: (document: ServeReady) =>
        this.show({
          schema: 'vdisk.serve',
          result: { ...document, persistent },
          document,
          view: () => Promise.resolve({ view }),
        }),
    })
    if (!flags.json && !flags.stdio) this.print(endText(result))
  }
}
