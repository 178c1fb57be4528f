import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { encodeTarHeader, tarBlock } from '../../src/binary/tar-header.js'

export const layerType = 'application/vnd.oci.image.layer.v1.tar'

/** A layer with files, of a name and content each; a folder where its name ends with `/`. */
export function layerOf(files: readonly (readonly [name: string, content: Uint8Array])[]): Buffer {
  const parts = files.flatMap(([name, content]) => [
    encodeTarHeader({
      name: Buffer.from(name),
      size: content.length,
      time: 0,
      type: name.endsWith('/') ? '5' : '0',
    }),
    content,
    Buffer.alloc((tarBlock - (content.length % tarBlock)) % tarBlock),
  ])
  return Buffer.concat([...parts, Buffer.alloc(2 * tarBlock)])
}

/** An image in a folder as other programs take it (OCI Image Layout), to be copied into a registry. */
export function ociLayout(
  folder: string,
  layers: readonly { readonly mediaType: string; readonly bytes: Buffer }[],
): void {
  const blobs = join(folder, 'blobs/sha256')
  fs.mkdirSync(blobs, { recursive: true })
  const stored = (mediaType: string, bytes: Buffer) => {
    const digest = sha256(bytes)
    fs.writeFileSync(join(blobs, digest), bytes)
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length }
  }
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
  const described = layers.map(({ mediaType, bytes }) => stored(mediaType, bytes))
  const plain = layers.map(({ mediaType, bytes }) => (mediaType.endsWith('gzip') ? gunzipSync(bytes) : bytes))
  const config = stored(
    'application/vnd.oci.image.config.v1+json',
    json({
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: plain.map((bytes) => `sha256:${sha256(bytes)}`) },
    }),
  )
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = stored(mediaType, json({ schemaVersion: 2, mediaType, config, layers: described }))
  fs.writeFileSync(join(folder, 'index.json'), json({ schemaVersion: 2, manifests: [manifest] }))
  fs.writeFileSync(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
