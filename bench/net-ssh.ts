import path from 'node:path'
import { sshd } from '../test/support/sshd.js'
import { withEnv, type NetKind, type NetSetting, type Transfer } from './transfer.js'
import { shell, vdisk } from './row.js'

const names = ['ssh raw → raw, vdisk there', 'ssh raw → raw, sftp', 'raw → ssh'] as const

async function start({ folder, target, context }: NetSetting): Promise<Transfer[]> {
  const { host, port, env, clientConfig, knownHosts } = await sshd(context, folder)
  const raw = path.join(folder, 'disk.raw')
  const there = path.join(folder, 'there.raw')
  const machine = host.replace(/:\d+$/, '')
  const options = `-F ${clientConfig}`
  const cat = shell(
    'ssh cat and dd',
    `ssh ${options} -p ${port} ${machine} "cat $0" | dd of="$1" bs=1M iflag=fullblock conv=sparse status=none`,
    raw,
    target,
  )
  const nbdkit = shell(
    'nbdkit ssh and nbdcopy',
    `nbdkit -U - ssh host=127.0.0.1 port=${port} path="$0" known-hosts=${knownHosts} ` +
      `identity=${path.join(folder, 'user-key')} --run "nbdcopy \\"\\$uri\\" $1"`,
    raw,
    target,
  )
  const sftp = shell('sftp', `sftp -q ${options} -P ${port} ${machine}:"$0" "$1" >/dev/null`, raw, target)
  const convert = (...args: string[]) => withEnv(vdisk('convert', ...args, '--no-flush'), env)
  const readers = [cat, nbdkit, sftp]
  return [
    { name: names[0], ours: convert(`ssh://${host}${raw}`, target, '--to', 'raw'), peers: readers },
    { name: names[1], ours: convert(`sftp://${host}${raw}`, target, '--to', 'raw'), peers: readers },
    {
      name: names[2],
      ours: withEnv(vdisk('convert', raw, `ssh://${host}${there}`, '--to', 'raw', '--force'), env),
      peers: [
        shell('cat and ssh, flushed', `ssh ${options} -p ${port} ${machine} "cat >$1 && sync $1" <"$0"`, raw, there),
        shell(
          'sftp, flushed',
          `printf 'put -f %s %s\\n' "$0" "$1" | sftp -q -b - ${options} -P ${port} ${machine} >/dev/null`,
          raw,
          there,
        ),
      ],
    },
  ]
}

export const sshTransfers: NetKind = {
  names,
  tools: ['/usr/sbin/sshd', 'ssh', 'sftp', 'nbdkit', 'nbdcopy'],
  start,
}
