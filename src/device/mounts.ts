/** One line of /proc/self/mountinfo (proc(5)). */
export interface Mount {
  /** `8:1`; `0:23` for what is no block device. */
  readonly deviceNumber: string
  /** The folder of the filesystem that is mounted; not `/` for bind mounts and subvolumes. */
  readonly root: string
  readonly point: string
  readonly readOnly: boolean
  readonly filesystem: string
  readonly source: string
  readonly superOptions: readonly string[]
}

/** Spaces and the like are octal escapes: `\040`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
}

/**
 * All mounts in the system's order: a later one hides an earlier one at the same point. Lines that are not understood
 * are left out.
 */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [head = '', tail = ''] = line.split(' - ')
    const [, , deviceNumber, root, point, options] = head.split(' ')
    const [filesystem, source, superOptions = ''] = tail.split(' ')
    if (
      deviceNumber === undefined ||
      root === undefined ||
      point === undefined ||
      options === undefined ||
      filesystem === undefined ||
      source === undefined
    )
      return []
    return [
      {
        deviceNumber,
        root: unescaped(root),
        point: unescaped(point),
        readOnly: options.split(',').includes('ro'),
        filesystem,
        source: unescaped(source),
        superOptions: superOptions.split(',').map(unescaped),
      },
    ]
  })
}

/** The mount a path lies in: the longest point that holds it, and of those the last. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let found: Mount | undefined
  for (const mount of mounts) {
    const holds = path === mount.point || path.startsWith(mount.point.endsWith('/') ? mount.point : `${mount.point}/`)
    if (holds && mount.point.length >= (found?.point.length ?? 0)) found = mount
  }
  return found
}

/** Paths of /proc/swaps. */
export function parseSwaps(text: string): { readonly path: string; readonly partition: boolean }[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [path, type] = line.split(/\s+/)
      return path === undefined || path === '' ? [] : [{ path: unescaped(path), partition: type === 'partition' }]
    })
}
