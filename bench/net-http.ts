import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { nginxProgram, startNginx } from '../test/support/nginx.js'
import type { NetKind, NetSetting, Transfer } from './transfer.js'
import { peer, shell, vdisk, type Command } from './row.js'

type Peer = (url: string, target: string) => Command

const qemuImg: Peer = (url, target) => peer('qemu-img', 'convert', '-W', '-m', '16', '-O', 'raw', url, target)
const nbdkitCurl: Peer = (url, target) =>
  shell('nbdkit curl and nbdcopy', 'nbdkit -U - curl "$0" --run "nbdcopy \\"\\$uri\\" $1"', url, target)
const nbdkitGzip: Peer = (url, target) =>
  shell(
    'nbdkit curl with its gzip filter, and nbdcopy',
    'nbdkit -U - --filter=gzip curl "$0" --run "nbdcopy \\"\\$uri\\" $1"',
    url,
    target,
  )
const curlOut = 'dd of="$1" bs=1M iflag=fullblock conv=sparse status=none'
const curl: Peer = (url, target) => shell('curl and dd', `curl -sf "$0" | ${curlOut}`, url, target)
const curlGzip: Peer = (url, target) => shell('curl, gzip and dd', `curl -sf "$0" | gzip -dc | ${curlOut}`, url, target)
const curlPigz: Peer = (url, target) => shell('curl, pigz and dd', `curl -sf "$0" | pigz -dc | ${curlOut}`, url, target)
const downloaded: Peer = (url, target) =>
  shell(
    'curl, then qemu-img',
    'curl -sfo "$1.tmp" "$0"; qemu-img convert -W -m 16 -O raw "$1.tmp" "$1"; rm "$1.tmp"',
    url,
    target,
  )

const sources: readonly { readonly name: string; readonly file: string; readonly peers: readonly Peer[] }[] = [
  { name: 'raw', file: 'disk.raw', peers: [qemuImg, nbdkitCurl, curl] },
  { name: 'qcow2', file: 'disk.qcow2', peers: [qemuImg, downloaded] },
  { name: 'vhdx', file: 'disk.vhdx', peers: [qemuImg, downloaded] },
  { name: 'qcow2 zstd', file: 'zstd.qcow2', peers: [downloaded] },
  { name: 'raw.gz', file: 'disk.raw.gz', peers: [curlGzip, curlPigz, nbdkitGzip] },
]
const nameOf = (source: string): string => `http ${source} → raw`

async function start({ folder, target, context }: NetSetting): Promise<Transfer[]> {
  const raw = path.join(folder, 'disk.raw')
  for (const [name, ...flags] of [
    ['disk.qcow2', '-O', 'qcow2'],
    ['disk.vhdx', '-O', 'vhdx'],
    ['zstd.qcow2', '-c', '-O', 'qcow2', '-o', 'compression_type=zstd'],
  ] as const)
    execFileSync('qemu-img', ['convert', '-f', 'raw', ...flags, raw, path.join(folder, name)])
  execFileSync('gzip', ['-k1', raw])
  const { port, child } = await startNginx(folder)
  context.after(() => child.kill('SIGKILL'))
  return sources.map(({ name, file, peers }) => {
    const url = `http://127.0.0.1:${port}/${file}`
    return {
      name: nameOf(name),
      ours: vdisk('convert', url, target, '--to', 'raw', '--no-flush'),
      peers: peers.map((one) => one(url, target)),
    }
  })
}

export const httpTransfers: NetKind = {
  names: sources.map(({ name }) => nameOf(name)),
  tools: [nginxProgram, 'curl', 'nbdkit', 'nbdcopy', 'qemu-img', 'gzip', 'pigz'],
  start,
}
