import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { azureServer } from '../test/support/azure-server.js'
import { installPlugin } from '../test/support/cli.js'
import { ociRegistry } from '../test/support/oci-registry.js'
import { layerOf, layerType, ociLayout } from '../test/support/oci-layers.js'
import { swift } from '../test/support/swift.js'
import { withEnv, type NetKind, type NetSetting, type Transfer } from './transfer.js'
import { root, shell, vdisk } from './row.js'

const toDisk = 'dd of="$1" bs=1M iflag=fullblock conv=sparse status=none'

async function startS3({ folder, target, context }: NetSetting): Promise<Transfer[]> {
  const served = path.join(folder, 'swift')
  fs.mkdirSync(served)
  const { env, bucket } = await swift(context, served)
  const plugin = installPlugin(folder, { name: 'vdisk-plugin-s3', root: path.join(root, 'plugins/s3') })
  const raw = path.join(folder, 'disk.raw')
  const endpoint = env['AWS_ENDPOINT_URL'] ?? ''
  const rcloneEnv = {
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_S_TYPE: 's3',
    RCLONE_CONFIG_S_PROVIDER: 'Other',
    RCLONE_CONFIG_S_ENDPOINT: endpoint,
    RCLONE_CONFIG_S_ACCESS_KEY_ID: env['AWS_ACCESS_KEY_ID'] ?? '',
    RCLONE_CONFIG_S_SECRET_ACCESS_KEY: env['AWS_SECRET_ACCESS_KEY'] ?? '',
    RCLONE_S3_NO_CHECK_BUCKET: 'true',
  }
  const token = (
    await fetch(`${endpoint}/auth/v1.0`, { headers: { 'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing' } })
  ).headers
  const login = `-H "X-Auth-Token: ${token.get('x-auth-token')}" ${token.get('x-storage-url')}/${bucket}`
  execFileSync('sh', ['-ec', `curl -sfT "$0" ${login}/source.raw`, raw])
  const ours = (...args: string[]) =>
    withEnv(vdisk('convert', ...args), { ...env, VDISK_DATA_DIR: plugin, XDG_STATE_HOME: path.join(folder, 'state') })
  return [
    {
      name: 's3 raw → raw',
      ours: ours(`s3://${bucket}/source.raw`, target, '--to', 'raw', '--no-flush'),
      peers: [
        withEnv(shell('rclone', `rclone copyto s:${bucket}/source.raw "$0"`, target), rcloneEnv),
        shell('curl and dd', `curl -sf ${login}/source.raw | ${toDisk}`, '', target),
      ],
    },
    {
      name: 'raw → s3',
      ours: ours(raw, `s3://${bucket}/disk.raw`, '--to', 'raw', '--force'),
      peers: [
        withEnv(shell('rclone', `rclone copyto --ignore-times "$0" s:${bucket}/theirs.raw`, raw), rcloneEnv),
        shell('curl, one request', `curl -sfT "$0" ${login}/plain.raw`, raw),
      ],
    },
  ]
}

export const s3Transfers: NetKind = {
  names: ['s3 raw → raw', 'raw → s3'],
  tools: ['swift-proxy-server', 'memcached', 'rclone', 'curl'],
  start: startS3,
}

const pageLength = 4 * 1024 * 1024

async function startAzure({ folder, size, context }: NetSetting): Promise<Transfer[]> {
  const server = await azureServer(context)
  const raw = path.join(folder, 'disk.raw')
  const disk = fs.readFileSync(raw)
  const version = '-H "x-ms-version: 2022-11-02"'
  const made = (address: string): string =>
    `curl -sf -X PUT ${version} -H "x-ms-blob-type: PageBlob" -H "x-ms-blob-content-length: ${size}" ` +
    `-H "Content-Length: 0" "${address}"`
  // What a plain upload sends: every page of the disk, so many at once, each with its checksum.
  const pages = Array.from({ length: size / pageLength }, (_, index) => {
    const page = disk.subarray(index * pageLength, (index + 1) * pageLength)
    const file = path.join(folder, `page-${index}`)
    fs.writeFileSync(file, page)
    return [
      `url = "${server.address('plain.vhd')}&comp=page"`,
      `upload-file = "${file}"`,
      'header = "x-ms-version: 2022-11-02"',
      'header = "x-ms-page-write: update"',
      `header = "x-ms-range: bytes=${index * pageLength}-${(index + 1) * pageLength - 1}"`,
      `header = "Content-MD5: ${createHash('md5').update(page).digest('base64')}"`,
      'output = "/dev/null"',
    ].join('\n')
  })
  const config = path.join(folder, 'pages')
  fs.writeFileSync(config, pages.join('\nnext\n'))
  const upload = shell(
    'curl, 16 pages of 4 MiB at once',
    `${made(server.address('plain.vhd'))}; curl -sf -Z --parallel-max 16 -K "$0"`,
    config,
  )
  const source = server.address('disk.vhd')
  return [
    {
      name: 'raw → azure',
      ours: withEnv(vdisk('convert', raw, source, '--to', 'vhd', '--force'), {
        XDG_STATE_HOME: path.join(folder, 'state'),
      }),
      peers: [upload],
      clear: () => server.blobs.clear(),
    },
  ]
}

export const azureTransfers: NetKind = { names: ['raw → azure'], tools: ['curl'], start: startAzure }

async function startOci({ folder, target, context }: NetSetting): Promise<Transfer[]> {
  const host = await ociRegistry(context, folder)
  const raw = path.join(folder, 'disk.raw')
  const layout = path.join(folder, 'layout')
  const bytes = layerOf([
    ['disk/', new Uint8Array(0)],
    ['disk/disk.img', fs.readFileSync(raw)],
  ])
  ociLayout(layout, [{ mediaType: layerType, bytes }])
  const skopeo = 'skopeo copy -q --insecure-policy'
  execFileSync('sh', [
    '-ec',
    `${skopeo} --preserve-digests --dest-tls-verify=false oci:"$0" docker://${host}/vm/source:v1`,
    layout,
  ])
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const copied = `${skopeo} --src-tls-verify=false docker://${host}/vm/source:v1 dir:"$0.d"`
  return [
    {
      name: 'oci raw → raw',
      ours: vdisk('convert', `oci://${host}/vm/source:v1`, target, '--to', 'raw', '--no-flush'),
      peers: [
        shell(
          'skopeo, then tar',
          `${copied}; tar xOf "$0.d/${digest.slice(7)}" disk/disk.img >"$0"; rm -r "$0.d"`,
          target,
        ),
        shell(
          'curl, tar and dd',
          `curl -sfL http://${host}/v2/vm/source/blobs/${digest} | tar xO disk/disk.img | ${toDisk}`,
          '',
          target,
        ),
      ],
    },
    {
      name: 'raw → oci',
      ours: vdisk('convert', raw, `oci://${host}/vm/disk:v1`, '--to', 'raw', '--force'),
      peers: [
        shell(
          'skopeo',
          `${skopeo} --preserve-digests --dest-tls-verify=false oci:"$0" docker://${host}/vm/copy:v1`,
          layout,
        ),
      ],
      clear: () => {
        // What a registry has, and what skopeo remembers of one, is not sent again.
        for (const name of ['copy', 'disk'])
          fs.rmSync(path.join(folder, 'registry/docker/registry/v2/repositories/vm', name), {
            recursive: true,
            force: true,
          })
        fs.rmSync('/var/lib/containers/cache', { recursive: true, force: true })
      },
    },
  ]
}

export const ociTransfers: NetKind = {
  names: ['oci raw → raw', 'raw → oci'],
  tools: ['docker-registry', 'skopeo', 'curl', 'tar'],
  start: startOci,
}
