/** A real Debian, whose programs make the initramfs images of guests. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { run } from './tools.js'

/** What an initramfs of a guest is made with. */
export interface InitramfsMaking {
  readonly name: string
  readonly maker: 'initramfs-tools' | 'dracut'
  readonly modules: readonly string[]
  /** Modules of dracut that are left out. */
  readonly omit?: string
  /** It is packed again by lzop. */
  readonly lzop?: boolean
}

const scsi = ['sym53c8xx', 'mptspi', 'mptsas', 'megaraid_sas', 'vmw_pvscsi', 'sd_mod', 'hv_storvsc']
const disks = ['virtio_pci', 'virtio_blk', 'virtio_scsi', 'nvme', 'ahci', 'ata_piix', ...scsi]
const all = [...disks, 'ext4', 'xfs', 'btrfs']
const except = (pattern: RegExp): readonly string[] => all.filter((name) => !pattern.test(name))
export const makings = {
  tools: { name: 'tools', maker: 'initramfs-tools', modules: all },
  lzop: { name: 'lzop', maker: 'initramfs-tools', modules: all, lzop: true },
  noVirtio: { name: 'tools-no-virtio', maker: 'initramfs-tools', modules: except(/virtio/) },
  noBtrfs: { name: 'tools-no-btrfs', maker: 'initramfs-tools', modules: except(/btrfs/) },
  noExt4: { name: 'tools-no-ext4', maker: 'initramfs-tools', modules: except(/ext4/) },
  noSata: { name: 'tools-no-sata', maker: 'initramfs-tools', modules: except(/ahci|ata_piix/) },
  dracut: { name: 'dracut', maker: 'dracut', modules: [...all, 'dm_mod'] },
  noNvme: { name: 'dracut-no-nvme', maker: 'dracut', modules: [...except(/nvme/), 'dm_mod'] },
  noXfs: { name: 'dracut-no-xfs', maker: 'dracut', modules: [...except(/xfs/), 'dm_mod'] },
  onlySata: { name: 'tools-sata', maker: 'initramfs-tools', modules: ['ahci', 'sd_mod', 'ext4'] },
  dracutVirtio: { name: 'dracut-virtio', maker: 'dracut', modules: ['virtio_pci', 'virtio_blk', 'ext4', 'dm_mod'] },
  noLvm: { name: 'dracut-no-lvm', maker: 'dracut', modules: all, omit: 'lvm dm' },
} as const satisfies Record<string, InitramfsMaking>

const parts = 'initramfs-tools,dracut-core,zstd,systemd-sysv,udev,lvm2,btrfs-progs,xfsprogs,e2fsprogs,kmod'

/** The root of a Debian system, whose programs make each initramfs once. */
export class GuestRoot {
  readonly path: string
  readonly version: string

  /** @param path where it is; debootstrap makes it when nothing is there. */
  constructor(path: string) {
    if (!fs.existsSync(join(path, 'boot'))) {
      const mirror = run('apt-get', 'indextargets', '--format', '$(REPO_URI)').split('\n')[0] ?? ''
      run('debootstrap', '--variant=minbase', `--include=linux-image-amd64,${parts}`, 'trixie', path, mirror)
    }
    this.path = path
    const [version] = fs.readdirSync(join(path, 'boot')).flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.slice(1) ?? [])
    assert.ok(version !== undefined, 'a kernel in /boot of the guest')
    this.version = version
  }

  get kernel(): string {
    return join(this.path, 'boot', `vmlinuz-${this.version}`)
  }

  get modules(): string {
    return join(this.path, 'usr/lib/modules', this.version)
  }

  /** The path of an initramfs, which is made when it is not there. */
  initramfs(making: InitramfsMaking): string {
    // One is made again when it shall hold other modules.
    const digest = createHash('sha256').update(making.modules.join(' ')).digest('hex').slice(0, 8)
    const [folder, image] = [join(this.path, 'mk'), `/mk/${making.name}-${digest}.img`]
    const made = join(this.path, image)
    if (fs.existsSync(made)) return made
    fs.rmSync(join(folder, 'conf'), { recursive: true, force: true })
    fs.mkdirSync(folder, { recursive: true })
    const proc = join(this.path, 'proc')
    run('mount', '-t', 'proc', 'proc', proc)
    try {
      if (making.maker === 'dracut') this.#dracut(making, image)
      else this.#tools(making, image)
    } finally {
      run('umount', proc)
    }
    if (making.lzop === true) this.#packAgain(image)
    return made
  }

  /** All of its archives as one, packed by lzop. */
  #packAgain(image: string): void {
    const tree = '/mk/tree'
    const steps = [`rm -rf ${tree}`, `unmkinitramfs ${image} ${tree}`, `cd ${tree}`, 'if [ -d main ]; then cd main; fi']
    run('chroot', this.path, 'sh', '-ec', [...steps, `find . | cpio -o -H newc --quiet > ${image}.cpio`].join('; '))
    const plain = join(this.path, `${image}.cpio`)
    run('lzop', '--force', '--delete', '-o', join(this.path, image), plain)
    fs.rmSync(join(this.path, tree), { recursive: true })
  }

  #dracut({ modules, omit }: InitramfsMaking, image: string): void {
    const left = ['systemd systemd-initrd dracut-systemd plymouth network nfs', ...(omit === undefined ? [] : [omit])]
    const chosen = [...(omit === undefined ? ['--add', 'lvm'] : []), '--omit', left.join(' ')]
    const kind = ['--force', '--no-hostonly', '--no-hostonly-cmdline', '--kver', this.version, '--compress', 'zstd -q']
    run('chroot', this.path, 'dracut', ...kind, ...chosen, '--drivers', modules.join(' '), image)
  }

  #tools({ modules }: InitramfsMaking, image: string): void {
    const folder = join(this.path, 'mk')
    run('cp', '-a', join(this.path, 'etc/initramfs-tools'), join(folder, 'conf'))
    const settings = join(folder, 'conf/initramfs.conf')
    fs.writeFileSync(settings, fs.readFileSync(settings, 'utf8').replace(/^MODULES=.*/m, 'MODULES=list'))
    fs.writeFileSync(join(folder, 'conf/modules'), `${modules.join('\n')}\n`)
    run('chroot', this.path, 'mkinitramfs', '-d', '/mk/conf', '-o', image, this.version)
  }
}
