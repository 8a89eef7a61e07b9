#!/bin/bash
# Two machines and a project on NFS: `benchmarks/nfs.sh PROJECT`; PROJECT has clips and a finished features/motion.
#
# Runs as root, and requires user-mode-linux, nfs-kernel-server, kmod and iproute2 (Debian). A Linux kernel is started
# as a process, with the files of this machine. In it are an NFS server and two machines, a and b: each has its own
# network, host name and mount. Both compute a part of the store at once; b is killed after 20 shards, and runs again.
# Then a computes the store for another setting while readers on both have all files open, and once more as before.
# Each time, the bytes must be those of PROJECT. At the end, a loses the network while it holds a lock. The share is
# in memory; no other file is written to.
set -u
if [ $$ != 1 ]; then
    exec linux.uml mem=2G root=/dev/root rootfstype=hostfs rw quiet con=null con0=null,fd:1 init="$(realpath "$0")" \
        PROJECT="$(realpath "$1")" PYTHON="$(command -v python)"
fi

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mkdir -p /dev/shm
for place in /run /var/lib/nfs /mnt /dev/shm; do mount -t tmpfs tmpfs $place; done
mkdir -p /run/lib/modules /var/lib/nfs/{sm,sm.bak,v4recovery,rpc_pipefs} /mnt/export /mnt/share
touch /var/lib/nfs/{etab,rmtab}
mount --bind /usr/lib/uml/modules /run/lib/modules
for module in nfsd nfsv4 veth; do modprobe -d /run $module; done
mount -t nfsd nfsd /proc/fs/nfsd
ip link set lo up
rpcbind -w
exportfs -o rw,no_root_squash,fsid=0,no_subtree_check,async '*:/mnt/export'
rpc.nfsd 8
rpc.mountd
cp -a "$PROJECT" /mnt/export/project
rm -rf /mnt/export/project/features/motion

number=0
for name in a b; do
    number=$((number + 1))
    ip netns add $name
    ip link add to-$name type veth peer name eth0 netns $name
    ip addr add 10.9.$number.1/24 dev to-$name
    ip link set to-$name up
    ip -n $name addr add 10.9.$number.2/24 dev eth0
    ip -n $name link set eth0 up
    ip netns exec $name unshare --mount --uts bash -c "hostname $name
        mount -t nfs -o vers=4.2 10.9.$number.1:/ /mnt/share && echo \$\$ > /run/$name; exec sleep infinity" &
    until [ -s /run/$name ]; do sleep 0.2; done
done

on() {  # a machine, and a command that takes its place
    nsenter --target "$(cat /run/$1)" --net --mount --uts bash -c "cd /mnt/share/project; exec $2"
}
compare() {
    diff -r -x '.nfs*' /mnt/export/project/features/motion "$PROJECT/features/motion" && echo "$1: the same bytes"
}
shards() { ls /mnt/export/project/features/motion/*.h5 2> /dev/null | wc -l; }

on a "$PYTHON -m stages.motion --part 1/2" &
part=$!
on b "setsid $PYTHON -m stages.motion --part 2/2" &
until [ "$(shards)" -ge 20 ]; do sleep 0.2; done
pkill -KILL -f 'stages.motion --part 2/2'
wait $part
on b "$PYTHON -m stages.motion --part 2/2"
on a "$PYTHON -m stages.motion"
compare "two parts, one killed"

for name in a b; do
    on $name "tail -f -n 0 $(cd /mnt/export/project && echo features/motion/*.h5)" > /dev/null 2>&1 &
done
sed -i.old 's/accumulate: none/accumulate: gop/' /mnt/export/project/params.yaml
on a "$PYTHON -m stages.motion"
mv /mnt/export/project/params.yaml.old /mnt/export/project/params.yaml
on a "$PYTHON -m stages.motion"
compare "readers"

cat > /mnt/export/project/hold.py << 'END'
import sys, time
from pathlib import Path
from mocliplite import files
with files.locked(Path("thing"), wait=300):
    print(sys.argv[1], "has the lock", flush=True)
    time.sleep(int(sys.argv[2]))
END
on a "$PYTHON hold.py a 1000" > /run/log &
until [ -s /run/log ]; do sleep 0.2; done
ip link set to-a down
start=$SECONDS
on b "$PYTHON hold.py b 0"
echo "after $((SECONDS - start)) seconds"
echo o > /proc/sysrq-trigger
sleep 5
